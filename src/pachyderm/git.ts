import { TarspoutError } from '../errors.js'
import { runProgram } from './program.js'

/** The environment for git: the caller's, without what would point git at another repository. */
export function gitEnvironment(): NodeJS.ProcessEnv {
  const environment = { ...process.env, LC_ALL: 'C' }
  for (const name of Object.keys(environment))
    if (name.startsWith('GIT_')) delete (environment as NodeJS.ProcessEnv)[name]
  return environment
}

/**
 * Runs git and returns what it printed.
 *
 * @throws TarspoutError `ERR_STORE` when git is missing or ends with another status than 0 (or `allowed`).
 */
export async function git(
  args: readonly string[],
  allowed: readonly number[] = [],
  input = '',
): Promise<string> {
  const { status, output, complaint } = await runProgram('git', args, [input], gitEnvironment())
  if (status === 0 || (status !== null && allowed.includes(status))) return output
  throw new TarspoutError('ERR_STORE', `git ${args.join(' ')}: ${complaint || `ended with ${status}`}`)
}

/** Puts files into a repository as blobs; returns their names, in order. */
export async function hashFiles(repository: string, paths: readonly string[]): Promise<string[]> {
  if (paths.length === 0) return []
  const args = ['--git-dir', repository, 'hash-object', '-w', '--no-filters', '--stdin-paths']
  const output = await git(args, [], paths.map((path) => `${path}\n`).join(''))
  return output.trimEnd().split('\n')
}
