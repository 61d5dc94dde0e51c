import { describe, expect, it } from '@jest/globals';
import { type Address, AddressRefused, guardedLookup, isPublicAddress, literalAllowed } from './address-guard.js';

describe('addresses', () => {
  it.each([
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '192.0.2.1',
    '198.18.0.1',
    '203.0.113.9',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:93.184.215.14',
    '::127.0.0.1',
    '64:ff9b::a00:1',
    'fc00::1',
    'fd12:3456::1',
    'fe80::1',
    'fec0::1',
    'ff02::1',
    '2001:db8::1',
    '2001::1',
    '2002:7f00:1::',
    'no address',
    '',
  ])('%s is not one of the public internet', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  it.each([
    '93.184.215.14',
    '8.8.8.8',
    '172.32.0.1',
    '172.15.255.255',
    '100.128.0.1',
    '2606:2800:21f::1',
    '2a00:1450::1',
  ])('%s is', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });

  it.each([
    'http://127.0.0.1/',
    'http://0x7f.1/',
    'http://0177.0.0.1/',
    'http://2130706433/',
    'http://127.1/',
    'http://[::1]/',
    'http://[::ffff:7f00:1]/',
    'http://[fe80::1]/',
    'http://①②⑦.⓪.⓪.①/',
    'http://0/',
  ])('%s is seen through, as the parser of addresses leaves it', (text) => {
    expect(literalAllowed(new URL(text).hostname)).toBe(false);
  });

  it('of names are not judged before they are looked up', () => {
    expect(literalAllowed('shop.example')).toBe(true);
  });
});

describe('a lookup', () => {
  const look = (addresses: readonly Address[] | Error, all: boolean): Promise<unknown> =>
    new Promise((answer) => {
      const resolve = () => (addresses instanceof Error ? Promise.reject(addresses) : Promise.resolve(addresses));
      guardedLookup(resolve)('shop.example', { all }, (error, found, family) => {
        answer(error ?? (all ? found : { address: found, family }));
      });
    });
  const good = { address: '93.184.215.14', family: 4 };
  const inner = { address: '10.0.0.7', family: 4 };

  it('gives the addresses that it has checked', async () => {
    expect(await look([good], true)).toEqual([good]);
    expect(await look([good], false)).toEqual(good);
  });

  it.each([
    ['inside', [inner]],
    ['inside, behind one that is not', [good, inner]],
    ['none', []],
  ])('refuses what is %s', async (_, addresses) => {
    for (const all of [true, false]) {
      const found = await look(addresses, all);
      expect(found).toBeInstanceOf(AddressRefused);
      expect(String(found)).not.toContain('10.0.0.7');
    }
  });

  it('fails as the resolver fails', async () => {
    expect(await look(new Error('no such name'), true)).toEqual(new Error('no such name'));
  });
});
