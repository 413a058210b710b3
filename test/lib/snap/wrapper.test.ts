// SPDX-License-Identifier: Apache-2.0

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the lines of a shell script

import { expect, test } from 'vitest';
import { snapWrapper } from '../../../lib/snap/wrapper.ts';

test('SHL-4: the wrapper has the lines that a test of OpenShell looks for, and each default once', () => {
  const lines = snapWrapper()
    .split('\n')
    .map((line) => line.trim());
  expect(lines[0]).toBe('#!/bin/sh');
  expect(lines).toEqual(
    expect.arrayContaining([
      'export OPENSHELL_DB_URL="${OPENSHELL_DB_URL:-sqlite:${SNAP_COMMON}/gateway.db?mode=rwc}"',
      'export OPENSHELL_DISABLE_TLS="${OPENSHELL_DISABLE_TLS:-true}"',
      'exec "${SNAP}/bin/openshell-gateway" --config "$CANONICAL_CONFIG_FILE" "$@"',
      'exec "${SNAP}/bin/openshell-gateway" "$@"',
    ]),
  );
  expect(snapWrapper().match(/gateway\.db/g)).toHaveLength(1);
});
