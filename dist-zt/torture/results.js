import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { titleOf } from './rows.js';
const root = fileURLToPath(new URL('../../', import.meta.url));
/** The addon as built, in twelve digits. */
export function addonHash() {
    const addon = readFileSync(`${root}build/Release/tarspout.node`);
    return createHash('sha256').update(addon).digest('hex').slice(0, 12);
}
/** The commit that is checked out, where this is a checkout. */
export function commitName() {
    try {
        return execFileSync('git', ['-C', root, 'rev-parse', '--short', 'HEAD'], {
            encoding: 'utf8',
            stdio: ['ignore', 'pipe', 'ignore'],
        }).trim();
    }
    catch {
        return 'unknown';
    }
}
/** The rows that were run, one JSON line each, so that a run can be stopped, gone on with, and put together from parts. */
export class Results {
    #path;
    #lines = new Map();
    constructor(path, conditionsOf, rows) {
        this.#path = path;
        if (path === undefined || !existsSync(path))
            return;
        const wanted = new Map(rows.map((row) => [titleOf(row), conditionsOf(row)]));
        for (const text of readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
            const line = JSON.parse(text);
            if (isDeepStrictEqual(wanted.get(line.title), line.conditions))
                this.#lines.set(line.title, line);
        }
    }
    has(row) {
        return this.#lines.has(titleOf(row));
    }
    add({ row, result, broken }, conditions) {
        const line = { title: titleOf(row), conditions, result, broken };
        this.#lines.set(line.title, line);
        if (this.#path !== undefined)
            appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
    }
    /** Of these rows, those that were run, in their order. */
    of(rows) {
        return rows.flatMap((row) => {
            const line = this.#lines.get(titleOf(row));
            return line ? [{ row, result: line.result, broken: line.broken }] : [];
        });
    }
}
