import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import test from 'ava'

const run = promisify(execFile)
const hasClang = await run('clang++', ['--version']).then(
  () => true,
  () => false,
)
// A minute where the time is (CI), two seconds elsewhere; longer by hand: npm run fuzz -- SECONDS.
const seconds = process.env.CI ? 60 : 2

test('the encoder withstands libFuzzer under ASan and UBSan', async (t) => {
  t.timeout(180_000)
  if (!hasClang) {
    t.falsy(process.env.CI, 'CI has clang')
    t.log("not run: needs clang and its libFuzzer (Debian's packages clang and libclang-rt-14-dev)")
    return
  }
  await run('scripts/fuzz.sh', [String(seconds)], { maxBuffer: 1 << 26 })
  t.pass()
})
