/** What is known of a delivered archive. */
export interface Receipt {
  /** Its number: the first of a spout is 1. 0: there was nothing to send. */
  archive: number
  entries: number
  /** Bytes of the archive: headers, bodies, padding and end-of-archive marker. */
  bytes: number
  /** How often it was sent; more than 1 means duplicates may have been committed. */
  attempts: number
  /** How it is known: the reader took its last byte, or it read on after it. */
  confirmed: 'read' | 'committed'
  /** Milliseconds since 1970. */
  deliveredAt: number
  /** Milliseconds its bytes waited for room in the pipe or for a reader. */
  blockedMs: number
}
