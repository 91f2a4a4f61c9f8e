/**
 * What is being run, on one line that writes over itself; silent where standard error is no
 * terminal.
 */
export function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${text}`)
}
