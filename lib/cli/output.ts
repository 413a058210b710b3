// SPDX-License-Identifier: Apache-2.0

/** The two streams of a task. What cannot be written, as on a full device, ends the task. */

import { errnoOf, named } from '../errors.ts';
import type { Sink } from './terminal.ts';

export class Output implements Sink {
  readonly #stream: NodeJS.WriteStream;
  readonly #name: string;
  #failure: unknown;

  /** @param name takes the place of the path in an error */
  constructor(stream: NodeJS.WriteStream, name: string) {
    this.#stream = stream;
    this.#name = name;
    stream.on('error', (error) => this.#note(error));
  }

  get isTTY(): boolean {
    return this.#stream.isTTY;
  }

  get columns(): number {
    return this.#stream.columns;
  }

  /** @throws the system's error of this write, where it is known at once, or of an earlier one */
  write(text: string | Uint8Array): void {
    this.throwIfFailed();
    this.#stream.write(text);
    if (this.#stream.errored !== null) this.#note(this.#stream.errored);
    this.throwIfFailed();
  }

  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #note(error: Error): void {
    // A reader that has seen enough (`| head`) is not an error, and neither is a terminal that was closed (EIO): where
    // that has to end the task, a signal says so.
    const isGone = errnoOf(error) === (this.#stream.isTTY ? 'EIO' : 'EPIPE');
    if (!isGone) this.#failure ??= named(this.#name, error);
  }
}

/**
 * Waits until it is known whether what was written has been written.
 * @throws the system's error of the first stream that has one
 */
export async function settled(...outputs: readonly Output[]): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  for (const output of outputs) output.throwIfFailed();
}
