// Seven readers, each turned into the same words. What a reader does not tell is undefined and is not compared.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Parser } from 'tar';
import tarStream from 'tar-stream';
import { TYPEFLAGS } from '../header-oracle.js';
const S = 1000000000n;
const MS = 1000000n;
const SOURCES = fileURLToPath(new URL('../../test/interop/', import.meta.url));
const env = { ...process.env, TZ: 'UTC', LC_ALL: 'C.UTF-8' };
function run(command, ...args) {
    const { status, stdout, stderr, error } = spawnSync(command, args, { env, maxBuffer: 1 << 26 });
    if (error)
        throw error;
    if (status !== 0)
        throw new Error(`${command} ended with ${status}: ${stderr.toString().slice(0, 300)}`);
    return stdout;
}
function versionOf(command, ...args) {
    const { error, stdout } = spawnSync(command, args, { env });
    return error ? undefined : (/\d+(\.\d+)+/.exec(stdout.toString())?.[0] ?? 'unknown');
}
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const isFile = (row) => ['file', 'contiguous-file'].includes(row.entry.type ?? 'file');
const hasBody = (row) => isFile(row) && row.hole === undefined;
function attempt(read) {
    return async (archives) => archives.map((archive) => {
        try {
            return read(archive);
        }
        catch (error) {
            return error;
        }
    });
}
// drwxr-sr-t and its like.
function modeOf(letters) {
    let mode = 0;
    for (const [i, letter] of [...letters].entries()) {
        if (!'-ST'.includes(letter))
            mode |= 0o400 >> i;
        if ('sStT'.includes(letter))
            mode |= 0o4000 >> Math.floor(i / 3);
    }
    return mode;
}
// "2013-12-20 22:56:21.5"
function timeOf(text) {
    const [seconds = '', fraction = ''] = text.split('.');
    return BigInt(Date.parse(`${seconds.replace(' ', 'T')}Z`)) * MS + BigInt(fraction.padEnd(9, '0'));
}
// "-1.5"
function decimalNs(text) {
    const [whole = '', fraction = ''] = text.replace('-', '').split('.');
    const ns = BigInt(whole) * S + BigInt(fraction.padEnd(9, '0'));
    return text.startsWith('-') ? -ns : ns;
}
// tar -tv of GNU tar and busybox: mode, owner, size or device, time, name and target.
const LISTED = /^(.)(\S{9}) (\S+?)\/(\S+) +(\d+|\d+,\d+) (\d+-\d\d-\d\d \d\d:\d\d(?::\d\d(?:\.\d+)?)?) ([\s\S]*)\n$/;
const LETTERS = { '-': '0', h: '1', l: '2', c: '3', b: '4', d: '5', p: '6', C: '7' };
function listed(text) {
    const match = LISTED.exec(text);
    if (!match)
        throw new Error(`a listing of another form: ${text.slice(0, 200)}`);
    const [, letter = '', letters = '', owner = '', group = '', size = '', time = '', rest = ''] = match;
    const [name = '', linkname] = rest.split(/ -> | link to /);
    return { letter, mode: modeOf(letters), owner, group, size, time, name, linkname };
}
const gnuTar = {
    name: 'GNU tar',
    needs: 'GNU tar (Debian: tar)',
    version: () => versionOf('tar', '--version'),
    read: attempt(({ path, row }) => {
        const style = ['--quoting-style=literal', '-P', '-tvf', path];
        const numbers = listed(run('tar', '--full-time', '--numeric-owner', ...style).toString());
        const names = listed(run('tar', ...style).toString());
        const [devmajor, devminor] = numbers.size.includes(',') ? numbers.size.split(',').map(Number) : [];
        return {
            name: numbers.name,
            typeflag: LETTERS[numbers.letter],
            size: devmajor === undefined ? Number(numbers.size) : undefined,
            mode: numbers.mode,
            mtime: timeOf(numbers.time),
            uid: Number(numbers.owner),
            gid: Number(numbers.group),
            uname: /^\d+$/.test(names.owner) ? '' : names.owner,
            gname: /^\d+$/.test(names.group) ? '' : names.group,
            linkname: numbers.linkname,
            devmajor,
            devminor,
            body: hasBody(row) ? sha256(run('tar', '-P', '-xOf', path)) : undefined,
        };
    }),
};
const BUSYBOX_SIZES = 8 * 2 ** 30;
const busybox = {
    name: 'busybox',
    needs: 'busybox (Debian: busybox)',
    version: () => versionOf('busybox'),
    read: attempt(({ path, row }) => {
        let archive = path;
        if ((row.hole ?? 0) >= BUSYBOX_SIZES) {
            // It takes the body for the end of the archive and reads on to the end of the file: spare it the hole.
            archive = `${path}.short`;
            writeFileSync(archive, head(path).subarray(0, 4096));
        }
        const found = listed(run('busybox', 'tar', '-tvf', archive).toString());
        // One owner column: the name where there is one.
        const owner = (text) => /^\d+$/.test(text) ? { id: Number(text), name: '' } : { id: undefined, name: text };
        const [user, group] = [owner(found.owner), owner(found.group)];
        return {
            name: found.name,
            // Its listing shows both kinds of link, and both kinds of file, by the permission bits' letter.
            typeflag: ['-', 'l'].includes(found.letter) ? undefined : LETTERS[found.letter],
            size: ['c', 'b'].includes(found.letter) ? undefined : Number(found.size),
            mode: found.mode,
            mtime: timeOf(found.time),
            uid: user.id,
            gid: group.id,
            uname: user.name,
            gname: group.name,
            linkname: found.linkname,
            body: hasBody(row) ? sha256(run('busybox', 'tar', '-xOf', archive)) : undefined,
        };
    }),
};
const MTREE_TYPES = {
    file: '0',
    link: '2',
    char: '3',
    block: '4',
    dir: '5',
    fifo: '6',
};
const bsdtar = {
    name: 'bsdtar',
    needs: 'bsdtar (Debian: libarchive-tools)',
    version: () => versionOf('bsdtar', '--version'),
    read: attempt(({ path, row }) => {
        if (row.hole !== undefined) {
            // The mtree form would read the whole hole.
            const match = /^-(\S{9}) +\d+ (\S+) +(\S+) +(\d+) .{12} (.*)\n$/s.exec(run('bsdtar', '-P', '-tvf', path).toString());
            if (!match)
                throw new Error('a listing of another form');
            const [, letters = '', uname, gname, size, name] = match;
            return { name, size: Number(size), mode: modeOf(letters), uname, gname };
        }
        const options = '--options=!all,use-set=,type,mode,time,uid,gid,uname,gname,size,link,sha256,device';
        const words = run('bsdtar', '-P', '-cf', '-', '--format=mtree', options, `@${path}`)
            .toString()
            .replace(/^#mtree\n/, '')
            .replace(/ \\\n */g, ' ');
        const [name = '', ...pairs] = (words.split('\n').find((line) => !line.startsWith('/set')) ?? '').split(' ');
        const set = (/^\/set (.*)$/m.exec(words)?.[1] ?? '').split(' ');
        const facts = new Map([...set, ...pairs].map((pair) => pair.split('=')));
        const text = (key) => unescapeMtree(facts.get(key) ?? '');
        const [, devmajor, devminor] = (facts.get('device') ?? '').split(',').map(Number);
        return {
            // mtree names are relative.
            name: row.entry.name.startsWith('/')
                ? run('bsdtar', '-P', '-tf', path).toString().trimEnd()
                : unescapeMtree(name).replace(/^\.\//, ''),
            // mtree has no word for a hard link, nor for its target.
            typeflag: ['link', 'contiguous-file'].includes(row.entry.type ?? '')
                ? undefined
                : MTREE_TYPES[text('type')],
            size: isFile(row) ? Number(text('size')) : undefined,
            mode: Number.parseInt(text('mode'), 8),
            mtime: decimalNs(mtreeTime(text('time'))),
            uid: Number(text('uid')),
            gid: Number(text('gid')),
            uname: text('uname'),
            gname: text('gname'),
            linkname: row.entry.type === 'link' ? undefined : text('link'),
            devmajor,
            devminor,
            body: hasBody(row) ? text('sha256digest') : undefined,
        };
    }),
};
// "5.7" is five seconds and seven nanoseconds.
function mtreeTime(text) {
    const [seconds = '', ns = ''] = text.split('.');
    return `${seconds}.${ns.padStart(9, '0')}`;
}
function unescapeMtree(text) {
    const bytes = text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
    return Buffer.from(bytes, 'latin1').toString();
}
function told(output, archives) {
    const lines = output.toString().trim().split('\n');
    return archives.map((_, i) => {
        const { entries, error } = JSON.parse(lines[i] ?? '{}');
        const [entry, ...more] = entries ?? [];
        if (!entry || more.length > 0)
            return new Error(error ?? `${entries?.length ?? 0} entries`);
        const { mtime, body, ...rest } = entry;
        return { ...rest, mtime: BigInt(mtime), body: body ?? undefined };
    });
}
const python = {
    name: 'Python tarfile',
    needs: 'Python 3 (Debian: python3)',
    version: () => versionOf('python3', '--version'),
    async read(archives) {
        const found = told(run('python3', join(SOURCES, 'read.py'), ...archives.map(({ path }) => path)), archives);
        // It keeps times as a double.
        return found.map((entry) => (entry instanceof Error ? entry : { ...entry, mtimeWithin: 1000n }));
    },
};
const go = {
    name: 'Go archive/tar',
    needs: 'Go (Debian: golang-go)',
    version: () => versionOf('go', 'version'),
    async read(archives) {
        const folder = mkdtempSync(join(tmpdir(), 'tarspout-go-'));
        try {
            const program = join(folder, 'read');
            run('go', 'build', '-o', program, join(SOURCES, 'read.go'));
            return told(run(program, ...archives.map(({ path }) => path)), archives);
        }
        finally {
            rmSync(folder, { recursive: true });
        }
    },
};
// The first bytes hold the whole header: a body that is a hole is not fed to readers that would read it all.
const HEAD = 2 ** 21;
const nodeTar = {
    name: 'node-tar',
    needs: 'the dependency tar',
    version: () => dependencyVersion('tar'),
    read: (archives) => Promise.all(archives.map(({ path, row }) => {
        return new Promise((resolve) => {
            const parser = new Parser({
                onReadEntry: (entry) => {
                    const chunks = [];
                    const found = (body) => ({
                        name: entry.path,
                        typeflag: entry.header?.typeKey,
                        size: entry.size,
                        mode: entry.mode,
                        mtime: entry.mtime && BigInt(entry.mtime.getTime()) * MS,
                        mtimeWithin: MS,
                        uid: entry.uid,
                        gid: entry.gid,
                        uname: entry.uname,
                        gname: entry.gname,
                        linkname: entry.linkpath,
                        devmajor: entry.header?.devmaj,
                        devminor: entry.header?.devmin,
                        body,
                    });
                    if (!hasBody(row))
                        return resolve(found());
                    entry.on('data', (chunk) => chunks.push(chunk));
                    entry.on('end', () => resolve(found(sha256(Buffer.concat(chunks)))));
                },
            });
            parser.on('error', resolve);
            parser.on('end', () => resolve(new Error('no entry')));
            parser.end(head(path));
        });
    })),
};
const extract = {
    name: 'tar-stream extract',
    needs: 'the development dependency tar-stream',
    version: () => dependencyVersion('tar-stream'),
    read: (archives) => Promise.all(archives.map(({ path, row }) => {
        return new Promise((resolve) => {
            const reader = tarStream.extract();
            reader.on('entry', ({ name, size, mode, mtime, uid, gid, uname, gname, linkname, type, ...rest }, stream, next) => {
                const { devmajor, devminor } = rest;
                const found = (body) => ({
                    name,
                    typeflag: TYPEFLAGS[type ?? ''],
                    size,
                    mode,
                    mtime: mtime && BigInt(mtime.getTime()) * MS,
                    uid,
                    gid,
                    uname,
                    gname,
                    linkname: linkname ?? '',
                    devmajor,
                    devminor,
                    body,
                });
                if (!hasBody(row))
                    return resolve(found());
                const chunks = [];
                stream.on('data', (chunk) => chunks.push(chunk));
                stream.on('end', () => {
                    resolve(found(sha256(Buffer.concat(chunks))));
                    next();
                });
            });
            reader.on('error', resolve);
            reader.on('finish', () => resolve(new Error('no entry')));
            reader.end(head(path));
        });
    })),
};
function head(path) {
    return run('head', '-c', String(HEAD), path);
}
function dependencyVersion(name) {
    const path = fileURLToPath(new URL(`../../node_modules/${name}/package.json`, import.meta.url));
    return JSON.parse(readFileSync(path, 'utf8')).version;
}
export const READERS = [gnuTar, bsdtar, busybox, python, go, nodeTar, extract];
