import { readFileSync } from 'node:fs'
import { checkPipelineSpec, type PipelineSpec } from '../spec/spec.js'
import { formatFault } from '../spec/spec-source.js'

/**
 * Reads specification files (`-`: standard input); the faults of all of them, each with the file
 * before it.
 */
export function readSpecFiles(paths: readonly string[]): {
  specs: PipelineSpec[]
  faults: string[]
} {
  const specs: PipelineSpec[] = []
  const faults: string[] = []
  for (const path of paths) {
    const result = checkPipelineSpec(readText(path))
    specs.push(...result.specs)
    faults.push(...result.faults.map((fault) => `${path}:${formatFault(fault)}`))
  }
  return { specs, faults }
}

function readText(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8')
  } catch (error) {
    // That of a folder says only that it was read.
    if ((error as NodeJS.ErrnoException).code === 'EISDIR')
      throw new Error(`${path} is a folder`, { cause: error })
    throw error
  }
}
