import { createHash } from 'node:crypto';
import { TYPEFLAGS } from '../header-oracle.js';
/** What a reader should find in the row's archive. */
export function expected({ entry, hole }) {
    const data = Buffer.from(entry.data ?? '');
    return {
        name: entry.name,
        typeflag: TYPEFLAGS[entry.type ?? 'file'],
        size: hole ?? data.length,
        mode: entry.mode,
        mtime: entry.mtime,
        uid: entry.uid,
        gid: entry.gid,
        uname: entry.uname,
        gname: entry.gname,
        linkname: entry.linkname ?? '',
        devmajor: entry.devmajor ?? 0,
        devminor: entry.devminor ?? 0,
        body: createHash('sha256').update(data).digest('hex'),
    };
}
/** The fields a reader tells otherwise, or its error. An empty list: it agrees. */
export function disagreements(row, found) {
    if (found instanceof Error)
        return [`refused (${found.message})`];
    const want = expected(row);
    return Object.keys(want).filter((field) => {
        const told = found[field];
        if (told === undefined)
            return false;
        // Some readers put a slash behind a directory's name.
        if (field === 'name')
            return withoutSlash(String(told)) !== withoutSlash(want.name ?? '');
        if (field === 'mtime') {
            const off = told - (want.mtime ?? 0n);
            return (off < 0n ? -off : off) > (found.mtimeWithin ?? 0n);
        }
        return told !== want[field];
    });
}
const withoutSlash = (name) => (name.length > 1 ? name.replace(/\/$/, '') : name);
