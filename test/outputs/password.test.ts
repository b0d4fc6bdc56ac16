import { expect, test } from 'vitest';
import { readPassword, utf16 } from '../../src/outputs/password.ts';
import { refusal } from '../pki/support.ts';

test.each([
  ['changeit', 'changeit'],
  ['changeit\n', 'changeit'],
  ['changeit\r\n', 'changeit'],
  [' ~', ' ~'],
  ['x'.repeat(1024), 'x'.repeat(1024)],
])('%j is read', (text, read) => {
  expect(readPassword(Buffer.from(text))).toBe(read);
});

test.each(['', '\n', '\r\n', 'a\nb', 'a\n\n', 'tab\t', 'größe', 'nul\0', 'del\x7f', 'x'.repeat(1025)])(
  '%j is refused, and not repeated',
  (text) => {
    expect(refusal(() => readPassword(Buffer.from(text)))).toBe('InvalidPassphrase');
    expect(() => readPassword(Buffer.from(text))).toThrow(/^a password of a store must have 1 to 1024 printable ASCII/);
  },
);

test('a password is hashed in two octets a character', () => {
  expect(utf16('aZ').toString('hex')).toBe('0061005a');
});
