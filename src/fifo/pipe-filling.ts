import { addon } from '../addon.js'

/** How full a pipe is. */
export interface PipeFilling {
  /** Bytes that no reader has taken yet. */
  readonly unread: number
  readonly capacity: number
}

/**
 * How full the pipe is that `fd`, a descriptor of either of its ends, leads to; zeros for anything
 * else.
 */
export function pipeFilling(fd: number): PipeFilling {
  const [unread, capacity] = addon.pipeFilling(fd)
  return { unread, capacity }
}
