// What the README shows is run as it stands, and what it lists is compared with the source.
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { comparable, programs, readme } from '../support/readme.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
test('the README has complete programs, and says of each what it prints', (t) => {
  t.true(programs.length > 0)
  t.is(readme.split('<!-- complete program -->').length - 1, programs.length)
})

for (const [index, { source, output }] of programs.entries()) {
  test(`program ${index + 1} of the README prints what the README says`, async (t) => {
    // Inside the package, so that its name leads to itself.
    const folder = mkdtempSync(join(root, 'dist-test/readme-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, 'program.mjs'), source)
    const run = promisify(execFile)
    const { stdout, stderr } = await run(process.execPath, ['program.mjs'], {
      cwd: folder,
      timeout: 30_000,
    })
    t.deepEqual(comparable(stdout), comparable(output))
    t.is(stderr, '')
  })
}

test('the README lists every error code, and no other', (t) => {
  const listed = [...readme.matchAll(/^\| `(ERR_\w+)` /gm)].map(([, code]) => code)
  const errors = readFileSync(join(root, 'src/base/errors.ts'), 'utf8')
  const codes = [...errors.matchAll(/^ {2}\| '(ERR_\w+)'/gm)].map(([, code]) => code)
  t.true(codes.length > 0)
  t.deepEqual(listed, codes)
})

test('the sections of docs/pachyderm.md that comments refer to are there', (t) => {
  const page = readFileSync(join(root, 'docs/pachyderm.md'), 'utf8')
  const sections = [...page.matchAll(/^##+ (\d(?:\.[A-E])?)/gm)].map(([, section]) => section)
  let count = 0
  for (const folder of ['src', 'native', 'test']) {
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      if (!/\.(ts|cc|h|go)$/.test(name)) continue
      const text = readFileSync(join(root, folder, name), 'utf8')
      for (const [, section] of text.matchAll(/pachyderm\.md,? (?:section )?(\d(?:\.[A-E])?)/gi)) {
        t.true(sections.includes(section), `${folder}/${name}: ${section}`)
        count++
      }
    }
  }
  t.true(count > 0)
})
