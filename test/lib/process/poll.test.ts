// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { InterruptedError } from '../../../lib/errors.ts';
import { poll } from '../../../lib/process/poll.ts';

/** An attempt that has its value at the n-th call. */
function valueAt<T>(n: number, value: T) {
  let calls = 0;
  return { attempt: () => (++calls === n ? value : undefined), calls: () => calls };
}

test('the first value ends it, at once where there is one', async () => {
  const first = valueAt(1, 'x');
  const start = performance.now();
  expect(await poll(first.attempt, { intervalMs: 10_000 })).toBe('x');
  expect(performance.now() - start).toBeLessThan(1000);
  const third = valueAt(3, 'y');
  expect(await poll(third.attempt, { intervalMs: 1 })).toBe('y');
  expect(third.calls()).toBe(3);
});

test.each([false, 0, '', null])('%j is a value', async (value) => {
  expect(await poll(valueAt(2, value).attempt, { intervalMs: 1 })).toBe(value);
});

test('an attempt may take its time, and the next one begins only after it', async () => {
  let running = 0;
  let calls = 0;
  const attempt = async () => {
    expect(++running).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 10));
    running--;
    return ++calls === 3 ? calls : undefined;
  };
  expect(await poll(attempt, { intervalMs: 1 })).toBe(3);
});

describe('when the time is over', () => {
  test('the last attempt counts, and there is no value otherwise', async () => {
    const start = performance.now();
    expect(await poll(() => undefined, { intervalMs: 5, timeoutMs: 60 })).toBeUndefined();
    expect(performance.now() - start).toBeGreaterThanOrEqual(60);
    // The pause is longer than the time: still one attempt at its end.
    const second = valueAt(2, 'late');
    expect(await poll(second.attempt, { intervalMs: 30, timeoutMs: 1 })).toBe('late');
  });

  test('no time is one attempt', async () => {
    const never = valueAt(9, 'x');
    expect(await poll(never.attempt, { intervalMs: 10_000, timeoutMs: 0 })).toBeUndefined();
    expect(never.calls()).toBe(1);
  });
});

describe('a signal ends it with its reason', () => {
  test('in the pause, at once', async () => {
    const controller = new AbortController();
    const start = performance.now();
    const polling = poll(() => undefined, { intervalMs: 60_000, signal: controller.signal });
    setTimeout(() => controller.abort(new InterruptedError('SIGTERM')), 20);
    await expect(polling).rejects.toThrow(new InterruptedError('SIGTERM'));
    expect(performance.now() - start).toBeLessThan(2000);
  });

  test('before the first attempt', async () => {
    const never = valueAt(1, 'x');
    const signal = AbortSignal.abort(new InterruptedError('SIGINT'));
    await expect(poll(never.attempt, { intervalMs: 1, signal })).rejects.toThrow('stopped by SIGINT');
    expect(never.calls()).toBe(0);
  });

  test('during an attempt: a value that it has counts', async () => {
    const controller = new AbortController();
    const attempt = async () => {
      controller.abort(new InterruptedError('SIGINT'));
      return 'x';
    };
    expect(await poll(attempt, { intervalMs: 1, signal: controller.signal })).toBe('x');
  });
});

test('what an attempt throws ends it', async () => {
  const attempt = () => {
    throw new Error('no');
  };
  await expect(poll(attempt, { intervalMs: 1, timeoutMs: 1000 })).rejects.toThrow('no');
});
