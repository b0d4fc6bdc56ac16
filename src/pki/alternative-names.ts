/** Subject alternative names (RFC 5280 section 4.2.1.6): DNS names, IP addresses and URIs. */
import { isIP } from 'node:net';
import { contextTag, type DerReader, element, sequence } from './der.ts';
import { PkiError } from './errors.ts';

export interface AlternativeNames {
  /** Host names; a wildcard only as the whole first label. */
  readonly dnsNames: readonly string[];
  /** IPv4 and IPv6 addresses as text. */
  readonly ipAddresses: readonly string[];
  readonly uris: readonly string[];
}

const DNS_NAME = contextTag(2, 'primitive');
const URI = contextTag(6, 'primitive');
const IP_ADDRESS = contextTag(7, 'primitive');

/**
 * GeneralNames, in the order given: DNS names, then addresses, then URIs.
 * @returns null when there are none, because an empty GeneralNames is not allowed
 * @throws PkiError `InvalidAlternativeName`
 */
export function encodeAlternativeNames(names: AlternativeNames): Buffer | null {
  const entries = [
    ...names.dnsNames.map((name) => element(DNS_NAME, Buffer.from(checkedDnsName(name), 'latin1'))),
    ...names.ipAddresses.map((address) => element(IP_ADDRESS, addressOctets(address))),
    ...names.uris.map((uri) => element(URI, Buffer.from(checkedUri(uri), 'latin1'))),
  ];
  return entries.length === 0 ? null : sequence(...entries);
}

function refuse(kind: string, value: string, why: string): PkiError {
  return new PkiError('InvalidAlternativeName', `${kind} ${JSON.stringify(value.slice(0, 300))} ${why}`);
}

// The underscore is no host name character, but common in service discovery (SRV names, Consul).
const LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

function checkedDnsName(name: string): string {
  const labels = name.split('.');
  const literal = labels[0] === '*' && labels.length > 1 ? labels.slice(1) : labels;
  if (name.length > 253 || !literal.every((label) => LABEL.test(label))) {
    throw refuse('DNS name', name, 'is not a host name (ASCII labels; a wildcard only as the whole first label)');
  }
  if (/^\d+$/.test(labels.at(-1) ?? '')) throw refuse('DNS name', name, 'ends in a number; put it in ipAddresses');
  return name;
}

function checkedUri(uri: string): string {
  if (uri.length > 2048 || !/^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$/.test(uri)) {
    throw refuse('URI', uri, 'is not an absolute URI of ASCII characters');
  }
  return uri;
}

function addressOctets(address: string): Buffer {
  const version = address.includes('%') ? 0 : isIP(address);
  if (version === 4) return Buffer.from(address.split('.').map(Number));
  if (version !== 6) throw refuse('IP address', address, 'is not an IPv4 or IPv6 address');
  const [head = '', tail] = address.split('::');
  const front = groupOctets(head);
  const back = groupOctets(tail ?? '');
  return Buffer.from([...front, ...Array<number>(16 - front.length - back.length).fill(0), ...back]);
}

/** Whether two texts are the same address: IPv6 addresses have many spellings. @throws PkiError `InvalidAlternativeName` */
export function sameAddress(one: string, other: string): boolean {
  return addressOctets(one).equals(addressOctets(other));
}

/** Octets of colon-separated groups, the last of which may be a dotted IPv4 address. */
function groupOctets(groups: string): number[] {
  if (groups === '') return [];
  return groups.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** Reads the content of GeneralNames; other kinds of names (mail, directory, other) are skipped. */
export function readAlternativeNames(reader: DerReader): AlternativeNames {
  const dnsNames: string[] = [];
  const ipAddresses: string[] = [];
  const uris: string[] = [];
  while (!reader.done) {
    const found = reader.read();
    const octets = reader.content(found);
    if (found.tag === DNS_NAME) dnsNames.push(readAscii(octets, reader));
    else if (found.tag === URI) uris.push(readAscii(octets, reader));
    else if (found.tag === IP_ADDRESS) ipAddresses.push(readAddress(octets, reader));
  }
  return { dnsNames, ipAddresses, uris };
}

/** A NUL or a line break in a name is how one name is made to pass for another: such a certificate is not read. */
function readAscii(octets: Buffer, reader: DerReader): string {
  const text = octets.toString('latin1');
  if (!/^[ -~]*$/.test(text)) throw reader.malformed('has a name with characters outside of printable ASCII');
  return text;
}

function readAddress(octets: Buffer, reader: DerReader): string {
  if (octets.length === 4) return octets.join('.');
  if (octets.length !== 16) throw reader.malformed('has an IP address that is neither IPv4 nor IPv6');
  const groups = Array.from({ length: 8 }, (_, index) => octets.readUInt16BE(index * 2));
  return compressGroups(groups);
}

/** RFC 5952: lower case, no leading zeros, the longest (first) run of two or more zero groups as "::". */
function compressGroups(groups: readonly number[]): string {
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length += 1;
    if (length > best.length) best = { start, length };
  }
  const hex = groups.map((group) => group.toString(16));
  if (best.length < 2) return hex.join(':');
  return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`;
}
