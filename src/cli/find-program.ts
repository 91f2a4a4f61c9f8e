import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { UsageError } from './usage-error.js'

/**
 * The first of these programs that is in PATH.
 *
 * @throws UsageError if none is
 */
export function findProgram(option: string, ...names: string[]): string {
  const folders = (process.env.PATH ?? '').split(':')
  const found = names.find((name) => folders.some((folder) => isProgram(join(folder, name))))
  if (found === undefined)
    throw new UsageError(`${option} needs ${names.join(' or ')}, which is not in PATH`)
  return found
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
