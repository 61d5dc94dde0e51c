import { describe, expect, it } from '@jest/globals';
import { urlFaults } from './targets.schema.js';
import { webhookHeaders, webhookKey } from './webhook.core.js';

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

describe('the key of a target', () => {
  it('is that of the specification’s own example', () => {
    expect(webhookKey('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')).toEqual(
      Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64'),
    );
  });

  it.each([
    '',
    'hunter2',
    'whsec_',
    'whsec_c2hvcnQ=',
    `whsec_${'A'.repeat(100)}`,
    'whsec_not base64 at all!!!!!!!!!!!!!!',
  ])('%p is none', (text) => {
    expect(webhookKey(text)).toBeNull();
  });
});

describe('a signature', () => {
  it('is that of the specification’s own example', () => {
    const key = webhookKey('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw') ?? Buffer.alloc(0);
    expect(webhookHeaders('msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330, '{"test": 2432232314}', key)).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });
});
