import { openSync, readSync } from 'node:fs'
import { openFifo, openSpout, type Spout, type SpoutOptions } from 'tarspout'

// O_RDONLY | O_NONBLOCK: a reader in this process that never reads unless told.
const readerFlags = 0o4000

/**
 * Every state of a spout in which something can happen to its process, thread or last reference.
 */
export const states = [
  'opened', // nothing begun
  'begun', // a commit with an entry, not ended
  'waiting', // an ended commit, no reader
  'opening', // openFifo() waits for a reader
  'stalled', // a reader that does not read: the pipe and the queue are full
  'delivered', // one archive delivered, connected
  'ended', // ended commits in flight with a reader
  'closing', // close() waits for what is in flight
  'closed',
] as const
export type State = (typeof states)[number]

/** What keeps a reader of this process alive; its descriptor is never closed. */
const open = (path: string) => openSync(path, readerFlags)

function drain(fd: number) {
  const piece = new Uint8Array(1 << 20)
  try {
    while (readSync(fd, piece) > 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
  }
}

const big = new Uint8Array(8 << 20)

/** Brings a spout into a state; what is pending is left pending, its failure ignored. */
export async function reach(
  state: State,
  path: string,
  options: SpoutOptions = {},
): Promise<Spout | undefined> {
  const ignore = () => {}
  if (state === 'opening') {
    openFifo(path).catch(ignore)
    return undefined
  }
  const spout = await openSpout({ path, connection: 'persistent', ...options })
  if (state === 'opened') return spout
  if (state === 'closed') {
    await spout.close()
    return spout
  }
  const fd = ['stalled', 'delivered', 'ended', 'closing'].includes(state) ? open(path) : -1
  const commit = spout.beginCommit()
  commit.add('entry', state === 'stalled' ? big : 'body')
  if (state === 'begun') return spout
  const ended = commit.end()
  ended.catch(ignore)
  if (state === 'delivered') {
    const reading = setInterval(() => drain(fd), 1)
    await ended
    clearInterval(reading)
  }
  if (state === 'closing') spout.close().catch(ignore)
  return spout
}
