import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pause } from './child.js';
import { Lines } from './lines.js';
export const generations = ['A', 'B', 'C'];
const programs = fileURLToPath(new URL('../build/readers/', import.meta.url));
export const hasGo = existsSync(join(programs, 'gotar'));
let logs = 0;
/** A stand-in reader in its own process; see test/readers/reader.cc for its options. */
export class StandIn {
    #child;
    #log;
    #lines;
    constructor(fifo, generation, options = [], program = 'reader', log = join(fifo.folder, `commits-${logs++}.jsonl`)) {
        this.#log = log;
        const words = ['--generation', generation, '--fifo', fifo.path, '--log', this.#log, '--events'];
        this.#child = spawn(join(programs, program), [...options, ...words], {
            stdio: ['ignore', 'pipe', 'inherit'],
        });
        this.#lines = new Lines(this.#child.stdout);
    }
    /** Waits for the next event that begins so; events before it are passed over. Fails if the reader ends first. */
    event(beginning) {
        return this.#lines.next(beginning);
    }
    get pid() {
        return this.#child.pid;
    }
    /** Every event so far. */
    get events() {
        return this.#lines.all;
    }
    /** The log: the commits it finished. */
    commits() {
        if (!existsSync(this.#log))
            return [];
        const lines = readFileSync(this.#log, 'utf8').split('\n').filter(Boolean);
        return lines.map((line) => JSON.parse(line));
    }
    /** Settles with the exit code, or the signal it died of. */
    async ended() {
        if (this.#child.exitCode === null && this.#child.signalCode === null)
            await once(this.#child, 'exit');
        return this.#child.signalCode ?? this.#child.exitCode;
    }
    kill(signal = 'SIGKILL') {
        this.#child.kill(signal);
    }
    /** Stops it where it is (SIGSTOP), and settles once every thread stands still; SIGCONT goes on. */
    pause() {
        return pause(this.#child);
    }
    /** Lets it finish what it can still read and finish, then ends it. */
    async stop() {
        this.#child.kill('SIGTERM');
        await this.ended();
        return this.commits();
    }
}
