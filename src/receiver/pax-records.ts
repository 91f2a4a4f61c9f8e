import { TarspoutError } from '../base/errors.js'

/**
 * Checks the records of a pax extended header (`length key=value\n`, POSIX pax) as strictly as
 * Pachyderm's reader does. node-tar's parser works line by line and drops what it cannot read; here
 * such a header makes the archive invalid, so that no entry is stored under another name or with
 * another size than its writer meant.
 *
 * @throws TarspoutError `ERR_ARCHIVE`
 */
export function checkPaxRecords(body: Buffer, offset: number): void {
  const fail = (why: string, at: number) =>
    new TarspoutError('ERR_ARCHIVE', `pax extended header: ${why}`, { offset: offset + at })
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at)
    const digits = space < 0 ? '' : body.toString('latin1', at, space)
    const end = at + Number(digits)
    if (
      !/^[1-9]\d{0,8}$/.test(digits) ||
      end > body.length ||
      end <= space ||
      body[end - 1] !== 0x0a
    ) {
      throw fail('a record does not have the length it states', at)
    }
    const equals = body.indexOf(0x3d, space)
    if (equals < 0 || equals >= end) throw fail('a record has no =', at)
    const key = body.toString('latin1', space + 1, equals)
    const value = body.subarray(equals + 1, end - 1)
    if (key === 'path' || key === 'size') {
      if (value.includes(0) || value.includes(0x0a))
        throw fail(`${key} holds a NUL or a newline`, at)
      if (key === 'size' && !/^\d{1,16}$/.test(value.toString('latin1')))
        throw fail('size is no number', at)
    }
    if (key.startsWith('GNU.sparse.')) throw fail('sparse files are not supported', at)
    at = end
  }
}
