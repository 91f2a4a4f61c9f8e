import { createInterface } from 'node:readline';
/** The lines a process prints, to be waited for. */
export class Lines {
    /** Every line so far. */
    all = [];
    #wakers = new Set();
    #taken = 0;
    #over = false;
    constructor(output) {
        if (!output)
            throw new Error('no output');
        createInterface({ input: output })
            .on('line', (line) => {
            this.all.push(line);
            this.#wake();
        })
            .on('close', () => {
            this.#over = true;
            this.#wake();
        });
    }
    #wake() {
        for (const waker of this.#wakers)
            waker();
        this.#wakers.clear();
    }
    /** The next line that begins so; lines before it are passed over. Fails if the output ends first. */
    async next(beginning) {
        for (;;) {
            while (this.#taken < this.all.length) {
                const line = this.all[this.#taken++] ?? '';
                if (line.startsWith(beginning))
                    return line;
            }
            if (this.#over)
                throw new Error(`the process ended before "${beginning}": ${this.all.join(', ')}`);
            await new Promise((resolve) => this.#wakers.add(resolve));
        }
    }
}
