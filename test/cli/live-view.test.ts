// The view of `tarspout run` in a real terminal: a pseudoterminal that Python opens, sizes and
// types into.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { git, python, temporaryFolder } from '../support/processes.js'

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

// Passes on what the terminal shows, a line for each time it is written over; types what comes in
// (a number: sets so many columns); ends with the program's exit code.
const TERMINAL = `
import fcntl, os, pty, select, struct, sys, termios
columns, *command = sys.argv[1:]
def resize(terminal, columns): fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 24, int(columns), 0, 0))
pid, terminal = pty.fork()
if pid == 0:
    resize(0, columns)
    os.execvp(command[0], command)
inputs = [terminal, 0]
while True:
    ready = select.select(inputs, [], [])[0]
    if 0 in ready:
        typed = os.read(0, 100)
        if typed.isdigit(): resize(terminal, typed)
        elif typed: os.write(terminal, typed)
        else: inputs.remove(0)
    if terminal in ready:
        try: shown = os.read(terminal, 65536)
        except OSError: break
        if not shown: break
        os.write(1, shown.replace(b'\\r\\x1b[K', b'\\n').replace(b'\\x1b', b'^'))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`

function show(t: Parameters<typeof python>[0], columns: number, ...lines: string[]) {
  const folder = temporaryFolder(t)
  const transform = { cmd: ['sh', '-e'], stdin: ['cd $(mktemp -d); echo x > f', ...lines] }
  writeFileSync(
    join(folder, 'spec.json'),
    JSON.stringify({ pipeline: { name: 'spout' }, transform, spout: {} }),
  )
  const terminal = python(
    t,
    folder,
    TERMINAL,
    String(columns),
    'env',
    `TMPDIR=${folder}`,
    process.execPath,
    main,
    'run',
    join(folder, 'spec.json'),
    '--repo',
    join(folder, 'spout.git'),
  )
  const type = (text: string) => terminal.child.stdin?.write(text)
  return {
    folder,
    terminal,
    typeCtrlC: () => type('\x03'),
    resize: (columns: number) => type(`${columns}`),
  }
}

test('a terminal shows one line of state, which fits, and tells a stall from a pause; Ctrl-C ends it', async (t) => {
  const { folder, terminal, typeCtrlC } = show(
    t,
    70,
    'sleep 0.5', // a state is shown while the pipe is empty
    'echo pfs $PFS_DIR; tar -cf $PFS_DIR/out f; tar -cf t.tar f',
    'exec 3> $PFS_DIR/out; head -c 1200 t.tar >&3; sleep 1000',
  )
  await terminal.printed(/1 commit · stalled in an archive, 1\.2 kB of it came \(1 s\)/)
  typeCtrlC()
  const { code, stdout, stderr } = await terminal.result
  t.is(code, 130, stderr)
  const states = stdout.split(/[\r\n]+/).filter((line) => /^\d+ commit/.test(line))
  t.true(states.length > 0)
  for (const state of states) t.true(state.length < 70, state)
  t.true(
    states.some((state) => /entries\/s · .*B\/s · pipe ░{8} 0 %/.test(state)),
    stdout,
  )
  t.notRegex(stdout, /commit 1 /)
  const pfs = /pfs (\S+)/.exec(stdout)?.[1] ?? ''
  t.not(pfs, '')
  t.false(existsSync(join(pfs, '..')))
  t.is(await git(t, join(folder, 'spout.git'), 'rev-list', '--count', 'master'), '1')
})

test('a pause between archives is no stall; a narrow terminal shows the most important', async (t) => {
  const { terminal, typeCtrlC } = show(t, 30, 'tar -cf $PFS_DIR/out f; sleep 1000')
  await terminal.printed(/^1 commit · waiting \(1 s\)\n/m)
  typeCtrlC()
  t.is((await terminal.result).code, 130)
})

test('the bar shows how full the pipe is while an archive is committed and the next one waits', async (t) => {
  const { terminal, typeCtrlC } = show(
    t,
    100,
    'head -c 64M /dev/zero > z; tar -b1 -cf z.tar z',
    'cat z.tar z.tar z.tar > $PFS_DIR/out; sleep 1000',
  )
  await terminal.printed(/B\/s · pipe █+░* [1-9]\d* % · busy \d+ %/)
  typeCtrlC()
  t.is((await terminal.result).code, 130)
})

test('a terminal that becomes narrower shows no rest of the longer line', async (t) => {
  const { terminal, typeCtrlC, resize } = show(t, 120, 'tar -cf $PFS_DIR/out f; sleep 1000')
  await terminal.printed(/^1 commit · waiting .{60,} in all$/m)
  resize(30)
  // What took one row takes four now.
  await terminal.printed(/\^\[3A\r\^\[J\n1 commit · waiting \(\d+ s\)\n/)
  typeCtrlC()
  t.is((await terminal.result).code, 130)
})
