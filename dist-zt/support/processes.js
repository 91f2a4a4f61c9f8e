import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
/** A folder that goes with the test. */
export function temporaryFolder(t) {
    const folder = mkdtempSync(join(tmpdir(), 'test-'));
    // A git whose runner was killed may still be at work there.
    t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }));
    return folder;
}
/** A program that is killed with the test, should it still run. */
export class Program {
    child;
    result;
    stdout = '';
    stderr = '';
    #waiting = [];
    constructor(t, cwd, command, args, env = {}) {
        const child = spawn(command, args, {
            cwd,
            env: { ...process.env, ...env },
            stdio: ['pipe', 'pipe', 'pipe'],
        });
        this.child = child;
        child.stdin.on('error', () => { });
        t.teardown(() => child.kill('SIGKILL'));
        child.stdout.setEncoding('utf8').on('data', (text) => this.#add('stdout', text));
        child.stderr.setEncoding('utf8').on('data', (text) => this.#add('stderr', text));
        this.result = new Promise((resolve, reject) => {
            child.on('error', reject);
            child.on('close', (code, signal) => {
                const { stdout, stderr } = this;
                for (const { pattern, reject } of this.#waiting)
                    reject(new Error(`ended without ${pattern}: ${stdout}${stderr}`));
                resolve({ code, signal, stdout, stderr });
            });
        });
    }
    /** Settles once the output matches. */
    printed(pattern) {
        if (pattern.test(this.stdout + this.stderr))
            return Promise.resolve();
        return new Promise((resolve, reject) => this.#waiting.push({ pattern, resolve, reject }));
    }
    #add(stream, text) {
        this[stream] += text;
        for (const { pattern, resolve } of this.#waiting)
            if (pattern.test(this.stdout + this.stderr))
                resolve();
    }
}
export const sh = (t, cwd, script, ...args) => new Program(t, cwd, 'sh', ['-ec', script, 'sh', ...args]).result;
export const python = (t, cwd, script, ...args) => new Program(t, cwd, 'python3', ['-c', script, ...args]);
const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
export const tarspoutWith = (t, cwd, env, ...args) => new Program(t, cwd, process.execPath, [main, ...args], env);
export const tarspout = (t, cwd, ...args) => new Program(t, cwd, process.execPath, [main, ...args]);
/** What git prints, without its last newline. */
export async function git(t, repository, ...args) {
    const { code, stdout, stderr } = await new Program(t, repository, 'git', ['--git-dir', repository, ...args])
        .result;
    t.is(code, 0, stderr);
    return stdout.replace(/\n$/, '');
}
