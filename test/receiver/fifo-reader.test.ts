import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import test from 'ava'
import { pipeFilling } from '../../dist/fifo/pipe-filling.js'
import { FifoReader } from '../../dist/receiver/fifo-reader.js'
import { temporaryFolder } from '../support/processes.js'

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

  // Both FIFOs become ready before the event loop looks at them. The handler of the other one runs
  // first: epoll has told of the first writer's hang-up then, and the second one comes.
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
  // both are polled now
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
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

test('how full the pipe is can be asked while it is open', (t) => {
  const path = join(temporaryFolder(t), 'fifo')
  execFileSync('mkfifo', [path])
  const reader = new FifoReader(path)
  const none = { unread: 0, capacity: 0 }
  t.deepEqual(reader.filling, none)
  reader.open()
  t.like(reader.filling, { unread: 0 })
  const writer = openToWrite(path)
  writeSync(writer, Buffer.alloc(1000))
  t.is(reader.filling.unread, 1000)
  t.deepEqual(pipeFilling(writer), reader.filling) // either end tells, and stays open
  let capacity = 1000
  try {
    for (;;) capacity += writeSync(writer, Buffer.alloc(4096))
  } catch {
    // it is full
  }
  t.true(capacity > 4096 && capacity <= reader.filling.capacity)
  t.true(reader.filling.capacity - capacity < 4096)
  closeSync(writer)
  reader.close()
  t.deepEqual(reader.filling, none)
  const file = openSync(process.execPath, 'r')
  t.teardown(() => closeSync(file))
  t.deepEqual(pipeFilling(file), none)
})
