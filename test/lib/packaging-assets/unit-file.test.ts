// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { entriesOf, unitInSpec, valuesOf } from '../../../lib/packaging-assets/unit-file.ts';
import { specWith, UNIT } from '../../support/packaging-assets.ts';

const keysOf = (text: string) =>
  ['', 'A', 'Unit', 'Service'].flatMap((section) =>
    entriesOf(text, section).map(([key, value]) => `${section}.${key}=${value}`),
  );

describe('a unit, as systemd.syntax(7) has it', () => {
  test('sections, and blanks around names and values', () => {
    expect(keysOf('a=1\n[Unit]\n  b =  x y \n\n[Service]\nc=\nd=e=f=[g]\n')).toEqual([
      '.a=1',
      'Unit.b=x y',
      'Service.c=',
      'Service.d=e=f=[g]',
    ]);
  });

  test('comments are not entries, and no line is continued by one', () => {
    expect(keysOf('[A]\n#a=1\n;b=2\n  # c=3 \\\nd=4 # no comment\n')).toEqual(['A.d=4 # no comment']);
  });

  test('a backslash at the end goes on in the next line, past comments', () => {
    expect(keysOf('[A]\na=1 \\\n  2\\\n# no\n; no\n  3\nb=4\n')).toEqual(['A.a=1  2 3', 'A.b=4']);
    expect(keysOf('[A]\na=1\\')).toEqual([]);
  });

  test('line ends of Windows, and what is no entry', () => {
    expect(keysOf('[A]\r\na=1\r\nnonsense\r\n=2\r\n[B\r\nb=3\r\n')).toEqual(['A.a=1', 'A.b=3']);
  });

  test('an empty value takes those before it back', () => {
    const entries = entriesOf('[S]\na=1\na=\na=2\na=3\nb=4\n[T]\na=5\n[S]\nb=6\n', 'S');
    expect(valuesOf(entries, 'a')).toEqual(['2', '3']);
    expect(valuesOf(entries, 'b')).toEqual(['4', '6']);
    expect(valuesOf(entriesOf('[S]\na=1\na=\n', 'S'), 'a')).toEqual([]);
  });
});

describe('the unit in a spec', () => {
  test('as it is written, with its percent signs doubled', () => {
    expect(unitInSpec(specWith(UNIT))).toBe(UNIT.replaceAll('%', '%%'));
  });

  test.each([
    ["cat << 'EOF' > /x-gateway.service\nunit\nEOF\n", 'unit\n'],
    ['cat >/x-gateway.service <<"END"\nEOF\nEND\n', 'EOF\n'],
    ["cat > '/x-gateway.service' <<-'EOF'\n\tunit\n\tEOF\n", '\tunit\n'],
    ["cat > /other << 'EOF'\nno\nEOF\ncat > /x-gateway.service << 'EOF'\nunit\nEOF\n", 'unit\n'],
  ])('%j', (spec, unit) => {
    expect(unitInSpec(spec)).toBe(unit);
  });

  test.each([
    ['no here-document', 'install x-gateway.service /y\n'],
    ['one whose variables the shell would expand', 'cat > /x-gateway.service << EOF\nunit\nEOF\n'],
    ['one that does not end', "cat > /x-gateway.service << 'EOF'\nunit\n"],
    ['one in a comment', "# cat > /x-gateway.service << 'EOF'\nunit\nEOF\n"],
    ['one of another file', "cat > /x.service << 'EOF'\nx-gateway.service\nEOF\n"],
  ])('%s', (_, spec) => {
    expect(() => unitInSpec(spec)).toThrow('writes no unit of the gateway');
  });
});
