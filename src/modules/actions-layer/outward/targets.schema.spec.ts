import { describe, expect, it } from '@jest/globals';
import { urlFaults } from './targets.schema.js';

describe('the address of a target', () => {
  it.each<[string, 'url' | 'status_url', boolean, number]>([
    ['https://shop.example/hook', 'url', false, 0],
    ['https://shop.example/effects/{key}', 'status_url', false, 0],
    ['http://shop.example/hook', 'url', true, 0],
    ['http://shop.example/hook', 'url', false, 1],
    ['ftp://shop.example/hook', 'url', true, 1],
    ['https://user:password@shop.example/', 'url', false, 1],
    ['https://shop.example/effects', 'status_url', false, 1],
    ['https://shop.example/{key}', 'url', false, 1],
    ['https://', 'url', false, 1],
  ])('%s as %s (http allowed: %p): %i faults', (text, field, allow_plain_http, faults) => {
    expect(urlFaults(text, { allow_plain_http }, field)).toHaveLength(faults);
  });
});
