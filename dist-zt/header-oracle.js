// A twin of the encoder in plain TypeScript, written from POSIX pax and docs/format.md and not from the C++: slow, simple,
// and the oracle of header.test.ts. It imports nothing from the package.
/** The words for types, and their typeflags (POSIX pax, ustar). */
export const TYPEFLAGS = {
    file: '0',
    link: '1',
    symlink: '2',
    'character-device': '3',
    'block-device': '4',
    directory: '5',
    fifo: '6',
    'contiguous-file': '7',
};
const utf8 = new TextEncoder();
/** The header blocks of an entry, or undefined where no format can hold it. */
export function oracle(entry) {
    if (!isEncodable(entry))
        return undefined;
    const seconds = floorDivide(entry.mtimeNs, 10n ** 9n);
    const records = [];
    const own = (key, value) => {
        if (!Object.hasOwn(entry.pax, key))
            records.push([key, value]);
    };
    const inBlock = { ...entry, name: Buffer.from(entry.name), prefix: Buffer.alloc(0), mtime: Number(seconds) };
    const split = isAscii(entry.name) ? splitName(Buffer.from(entry.name)) : undefined;
    const longLink = !isAscii(entry.linkname) || byteLength(entry.linkname) > 100;
    const moved = entry.namesInPax && (!split || longLink || Object.keys(entry.pax).length > 0);
    if (split && !moved)
        Object.assign(inBlock, split);
    else {
        own('path', entry.name);
        inBlock.name = Buffer.from('PaxHeader');
    }
    if (longLink || (moved && entry.linkname !== '')) {
        own('linkpath', entry.linkname);
        inBlock.linkname = 'PaxHeader';
    }
    if (entry.size >= 8 ** 11) {
        own('size', String(entry.size));
        inBlock.size = 0;
    }
    const octalTime = seconds >= 0n && seconds < 8n ** 11n;
    if (!octalTime)
        inBlock.mtime = 0;
    if (!octalTime || entry.mtimeNs % 10n ** 9n !== 0n)
        own('mtime', decimal(entry.mtimeNs));
    for (const key of ['uid', 'gid']) {
        if (entry[key] >= 8 ** 7) {
            own(key, String(entry[key]));
            inBlock[key] = 0;
        }
    }
    for (const key of ['uname', 'gname']) {
        if (!isAscii(entry[key]) || byteLength(entry[key]) > 31) {
            own(key, entry[key]);
            inBlock[key] = '';
        }
    }
    records.push(...Object.entries(entry.pax));
    if (records.length === 0)
        return block(inBlock);
    const body = Buffer.concat(records.map(([key, value]) => record(key, value)));
    if (body.length > 1_000_000)
        return undefined;
    const extended = {
        ...inBlock,
        name: Buffer.from('PaxHeader'),
        prefix: Buffer.alloc(0),
        linkname: records.some(([key]) => key === 'linkpath') ? 'PaxHeader' : '',
        typeflag: 'x',
        size: body.length,
    };
    return Buffer.concat([
        block(extended),
        body,
        Buffer.alloc((512 - (body.length % 512)) % 512),
        block(inBlock),
    ]);
}
function isEncodable(entry) {
    const { name, typeflag, pax } = entry;
    if (!/^[0-7]$/.test(typeflag))
        return false;
    if (name === '' || (name.endsWith('/') && typeflag !== '5'))
        return false;
    if ([name, entry.linkname, entry.uname, entry.gname].some((text) => text.includes('\0')))
        return false;
    if ('12'.includes(typeflag) && entry.linkname === '')
        return false;
    if ('123456'.includes(typeflag) && entry.size !== 0)
        return false;
    if ([entry.size, entry.uid, entry.gid].some((value) => value < 0))
        return false;
    if (entry.mode < 0 || entry.mode >= 8 ** 4)
        return false;
    if ([entry.devmajor, entry.devminor].some((value) => value < 0 || value >= 8 ** 7))
        return false;
    return Object.entries(pax).every(([key, value]) => {
        if (key === '' || /[=\0]/.test(key) || ['path', 'linkpath', 'size'].includes(key))
            return false;
        if (key === 'uid' || key === 'gid')
            return /^[0-9]+$/.test(value);
        if (/^[amc]time$/.test(key))
            return /^-?[0-9]+(\.[0-9]+)?$/.test(value);
        if (key === 'uname' || key === 'gname')
            return value !== '' && !value.includes('\0');
        return true;
    });
}
function block(fields) {
    const bytes = Buffer.concat([
        fixed(fields.name, 100),
        octal(fields.mode, 8),
        octal(fields.uid, 8),
        octal(fields.gid, 8),
        octal(fields.size, 12),
        octal(fields.mtime, 12),
        Buffer.from('        '),
        Buffer.from(fields.typeflag),
        fixed(Buffer.from(fields.linkname), 100),
        Buffer.from('ustar\x0000'),
        fixed(Buffer.from(fields.uname), 32),
        fixed(Buffer.from(fields.gname), 32),
        octal(fields.devmajor, 8),
        octal(fields.devminor, 8),
        fixed(fields.prefix, 155),
        Buffer.alloc(12),
    ]);
    const sum = bytes.reduce((total, byte) => total + byte, 0);
    octal(sum, 8).copy(bytes, 148);
    return bytes;
}
// 8 bytes: six digits, space, NUL, or seven digits, NUL. 12 bytes: eleven digits, space.
function octal(value, width) {
    if (width === 12)
        return Buffer.from(`${value.toString(8).padStart(11, '0')} `);
    const digits = value.toString(8).padStart(6, '0');
    return Buffer.from(digits.length === 6 ? `${digits} \0` : `${digits}\0`);
}
function fixed(text, width) {
    return Buffer.concat([text, Buffer.alloc(width - text.length)]);
}
function splitName(name) {
    if (name.length <= 100)
        return { name, prefix: Buffer.alloc(0) };
    for (let i = 1; i <= 155 && i < name.length - 1; i++) {
        if (name[i] === 0x2f && name.length - i - 1 <= 100) {
            return { prefix: name.subarray(0, i), name: name.subarray(i + 1) };
        }
    }
    return undefined;
}
// The length counts itself: try until it agrees.
function record(key, value) {
    const rest = ` ${key}=${value}\n`;
    const restBytes = byteLength(rest);
    let length = restBytes;
    while (String(length).length + restBytes !== length)
        length++;
    return Buffer.from(`${length}${rest}`);
}
function decimal(ns) {
    const digits = (ns < 0n ? -ns : ns).toString().padStart(10, '0');
    const fraction = digits.slice(-9).replace(/0+$/, '');
    return `${ns < 0n ? '-' : ''}${digits.slice(0, -9)}${fraction && `.${fraction}`}`;
}
function floorDivide(a, b) {
    return (a - (((a % b) + b) % b)) / b;
}
function byteLength(text) {
    return utf8.encode(text).length;
}
function isAscii(text) {
    return byteLength(text) === text.length && [...text].every((c) => c < '\x80');
}
