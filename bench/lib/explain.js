import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** One line that says what went wrong, without the folder the checkout happens to lie in. */
export function explain(error) {
  const code = error?.code ? `${error.code}: ` : ''
  return `${code}${String(error?.message ?? error).split('\n')[0]}`.replaceAll(root, '')
}
