import { readFileSync } from 'node:fs'

export const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')

const PROGRAM = /<!-- complete program -->\n\n```js\n(.*?)```\n(?:(?!```).)*?```text\n(.*?)```/gs

/** The README's complete programs, and what it says they print. */
export const programs = [...readme.matchAll(PROGRAM)].map(([, source = '', output = '']) => ({
  source,
  output,
}))

/** The files it links to. */
export const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link = '']) => link)

/** Two writers share the output, so lines come in either order; and what time it is differs. */
export function comparable(output: string): string[] {
  return output
    .trim()
    .split('\n')
    .map((line) => line.replace(/^( *(?:deliveredAt|blockedMs):) [\d.e-]+/, '$1 -'))
    .sort()
}
