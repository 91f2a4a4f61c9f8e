// Sends one archive of one entry: PATH NAME BYTES [READER_TIMEOUT_MS [CONFIRM]]. Prints "sending",
// then "delivered" or the error's code.
import { openSpout, type SpoutOptions } from 'tarspout'

const [path = '', name = '', bytes, readerTimeoutMs = 'Infinity', confirm = 'read'] =
  process.argv.slice(2)
try {
  const spout = await openSpout({
    path,
    confirm: confirm as SpoutOptions['confirm'],
    readerTimeoutMs: Number(readerTimeoutMs),
    nameRules: 'tar',
  })
  const commit = spout.beginCommit()
  commit.add(name, Buffer.alloc(Number(bytes), name))
  const ended = commit.end()
  console.log('sending')
  const { attempts } = await ended
  console.log(`delivered ${attempts}`)
  await spout.close()
} catch (error) {
  console.log(`error ${(error as NodeJS.ErrnoException).code ?? error}`)
}
