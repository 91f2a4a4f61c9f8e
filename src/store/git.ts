import { TarspoutError } from '../base/errors.js'
import { runProgram } from '../base/program.js'

// Blobs beyond this size are streamed by every git, so that memory does not grow with the size of a
// file.
const CONFIG = {
  GIT_CONFIG_COUNT: '1',
  GIT_CONFIG_KEY_0: 'core.bigFileThreshold',
  GIT_CONFIG_VALUE_0: '1m',
}

/** The environment for git: the caller's, without what would point git at another repository. */
export function gitEnvironment(): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { ...process.env, LC_ALL: 'C' }
  for (const name of Object.keys(environment)) if (name.startsWith('GIT_')) delete environment[name]
  return { ...environment, ...CONFIG }
}

/**
 * Runs git and returns what it printed. Ctrl-C does not reach it: the caller waits for it, and it
 * must not fail then.
 *
 * @throws TarspoutError `ERR_STORE` when git is missing or ends with another status than 0 (or
 * `allowed`).
 */
export async function git(
  args: readonly string[],
  allowed: readonly number[] = [],
  input = '',
): Promise<string> {
  const options = { env: gitEnvironment(), detached: true }
  const { status, output, complaint } = await runProgram('git', args, [input], options)
  if (status === 0 || (status !== null && allowed.includes(status))) return output
  throw new TarspoutError('ERR_STORE', `git ${args.join(' ')}: ${complaint}`)
}

/** Puts files into a repository as blobs; returns their names, in order. */
export async function hashFiles(repository: string, paths: readonly string[]): Promise<string[]> {
  if (paths.length === 0) return []
  const args = ['--git-dir', repository, 'hash-object', '-w', '--no-filters', '--stdin-paths']
  const output = await git(args, [], paths.map((path) => `${path}\n`).join(''))
  return output.trimEnd().split('\n')
}
