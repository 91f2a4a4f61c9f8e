/** Ends the bench for what is wrong with its command line. */
export function fail(message) {
  console.error(`bench: ${message}; --help says what there is`)
  process.exit(2)
}
