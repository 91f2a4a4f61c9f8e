import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a folder and those above it, as far as they are not there.
 *
 * Node's `recursive` does not: it tries for ever where the system says that a folder which is there
 * is not, as in /proc.
 *
 * @param made gets those that were made, the uppermost first
 * @throws what mkdir(2) says
 */
export function makeFolders(path: string, mode?: number, made: string[] = []): void {
  if (existsSync(path)) return
  makeFolders(dirname(path), mode, made)
  mkdirSync(path, mode)
  made.push(path)
}
