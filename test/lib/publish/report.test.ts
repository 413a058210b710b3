// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { dryRunLines, progressText, tableLines } from '../../../lib/publish/report.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { DIGEST_A, DIGEST_B, plannedLines, publishPlan } from '../../support/publish-plan.ts';

const CONTENT = { digest: DIGEST_A, images: [{ platform: 'linux/amd64', digest: DIGEST_A }] };
const PUBLISHED = {
  component: 'gateway',
  reference: 'r/gateway:dev',
  platforms: ['linux/amd64', 'linux/arm64'],
  content: CONTENT,
};

test('what became of a reference', () => {
  const state = (before: NonNullable<ReturnType<Parameters<typeof tableLines>[1]['get']>>) =>
    tableLines([PUBLISHED], new Map([['r/gateway:dev', before]]))[1]
      ?.split(/ +/)
      .at(-1);
  expect(state({ kind: 'absent' })).toBe('new');
  expect(state({ kind: 'exists', content: CONTENT })).toBe('unchanged');
  expect(state({ kind: 'exists', content: { ...CONTENT, digest: DIGEST_B } })).toBe('moved');
  expect(state({ kind: 'forbidden' })).toBe('moved');
});

test('the table', () => {
  expect(tableLines([PUBLISHED], new Map([['r/gateway:dev', { kind: 'absent' }]]))).toEqual([
    `component  reference      digest${' '.repeat(67)}platforms                state`,
    `gateway    r/gateway:dev  ${DIGEST_A}  linux/amd64,linux/arm64  new`,
  ]);
});

describe('how far a failed publish came', () => {
  test.each<[string[], string | undefined, string]>([
    [[], undefined, 'no reference was set before that; as they were: a, b, c; run it again to finish'],
    [['a'], 'b', 'set before that: a; b may have been set or not; as they were: c; run it again to finish'],
    [['a', 'b'], 'c', 'set before that: a, b; c may have been set or not; run it again to finish'],
    [['a', 'b', 'c'], undefined, 'set before that: a, b, c; run it again to finish'],
  ])('%j are set, %s is being set', (done, current, text) => {
    expect(progressText(['a', 'b', 'c'], done, current)).toBe(text);
  });
});

describe('a dry run', () => {
  test.each(['docker', 'podman'] as const)('%s: all commands in their order, and nothing is started', async (name) => {
    const tools = fakeTools();
    const creation = ['buildx', 'create', '--name', 'box'];
    const builder = { name: 'box', driver: 'docker-container', ...(name === 'docker' ? { creation } : {}) };
    const plan = publishPlan(name, {}, { builder });
    const lines = await dryRunLines(inProcess(tools, {}, '/start in'), plan);
    const plain = lines.map((line) => line.replaceAll("'", '').replaceAll(plan.scratch, 'SCRATCH'));
    const commands = plain.filter((line) => line.startsWith(name));
    const planned = await plannedLines(plan);
    expect(commands).toEqual([...(name === 'docker' ? ['docker buildx create --name box'] : []), ...planned]);
    expect(lines.filter((line) => !line.startsWith(name))).toEqual([
      '# verifies the staged binaries',
      `# creates ${plan.scratch}`,
      ...plan.caches.map((cache) => `# creates ${cache}`),
      "cd '/start in'",
      ...plan.references.map((reference) => `# reads back ${reference}`),
    ]);
    expect(lines.at(-plan.references.length - 1)).toMatch(/<digest of supervisor>|supervisor:dev$/);
    expect(tools.calls()).toEqual([]);
  });

  test('the time is in the arguments alone', async () => {
    const ctx = inProcess(fakeTools(), { SOURCE_DATE_EPOCH: '7' });
    const lines = await dryRunLines(ctx, publishPlan('podman', { SOURCE_DATE_EPOCH: '7' }));
    expect(lines.find((line) => line.includes('podman build'))).toMatch(
      /^env -u SOURCE_DATE_EPOCH podman build .* --timestamp 7 /,
    );
  });
});
