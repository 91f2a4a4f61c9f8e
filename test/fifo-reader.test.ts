import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import test from 'ava'
import { FifoReader } from '../dist/pachyderm/fifo-reader.js'
import { temporaryFolder } from './support/processes.js'

const openToWrite = (path: string) => openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)

test('a writer that comes between the hang-up of another and the read is not lost', async (t) => {
  const folder = temporaryFolder(t)
  const path = join(folder, 'fifo')
  const otherPath = join(folder, 'other')
  execFileSync('mkfifo', [path, otherPath])
  let text = ''
  const reader = new FifoReader(path)
  t.teardown(() => reader.close())
  reader.open()
  const result = reader.read({
    want: 1000,
    push(bytes) {
      text += bytes.toString()
      return true
    },
  })

  // Both FIFOs become ready before the event loop looks at them. The handler of the other one runs first: epoll has told
  // of the first writer's hang-up then, and the second one comes.
  const other = new Socket({ fd: openSync(otherPath, constants.O_RDONLY | constants.O_NONBLOCK) })
  t.teardown(() => other.destroy())
  let second = -1
  const came = new Promise<void>((resolve) =>
    other.once('data', () => {
      second = openToWrite(path)
      writeSync(second, 'two ')
      resolve()
    }),
  )
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve)) // both are polled now
  const wake = openToWrite(otherPath)
  writeSync(wake, 'x')
  const first = openToWrite(path)
  writeSync(first, 'one ')
  closeSync(first)
  await came

  let ended = false
  result.then(() => {
    ended = true
  })
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  t.false(ended)
  writeSync(second, 'three')
  closeSync(second)
  closeSync(wake)
  t.is(await result, 'end')
  t.is(text, 'one two three')
})
