import test from 'ava'
import { TarspoutError } from 'tarspout'

test('a TarspoutError carries its code and facts, and no empty ones', (t) => {
  const error = new TarspoutError('ERR_TAR_NAME', 'no', { entry: 'a', path: undefined })
  t.is(error.code, 'ERR_TAR_NAME')
  t.is(error.name, 'TarspoutError')
  t.is(error.entry, 'a')
  t.deepEqual(Object.keys(error).sort(), ['code', 'entry'])
})
