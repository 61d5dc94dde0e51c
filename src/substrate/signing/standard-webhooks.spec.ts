import { describe, expect, it } from '@jest/globals';
import { webhookFault, webhookHeaders, webhookKey } from './standard-webhooks.js';

describe('the key of a webhook', () => {
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

  const KEY = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64');
  const [BODY, NOW_S] = ['{"test": 2432232314}', 1_614_265_330];
  const at = { key: KEY, nowMs: NOW_S * 1_000, toleranceS: 300 };
  const sent = (): Record<string, unknown> => ({ ...webhookHeaders('msg_1', NOW_S, BODY, KEY) });

  it('is found good, also beside that of a key on its way out', () => {
    expect(webhookFault(sent(), Buffer.from(BODY), at)).toBeUndefined();
    const { 'webhook-signature': signature, ...rest } = webhookHeaders('msg_1', NOW_S, BODY, KEY);
    const both = `v1,${Buffer.alloc(32).toString('base64')} ${signature}`;
    expect(webhookFault({ ...rest, 'webhook-signature': both }, Buffer.from(BODY), at)).toBeUndefined();
  });

  it.each<[string, (headers: Record<string, unknown>) => void, string, typeof at]>([
    ['of another body', () => undefined, `${BODY} `, at],
    ['of another id', (headers) => (headers['webhook-id'] = 'msg_2'), BODY, at],
    ['of another time', (headers) => (headers['webhook-timestamp'] = String(NOW_S + 1)), BODY, at],
    ['of another version', (headers) => (headers['webhook-signature'] = 'v2,aaaa'), BODY, at],
    ['that is missing', (headers) => delete headers['webhook-signature'], BODY, at],
    ['by another key', () => undefined, BODY, { ...at, key: Buffer.alloc(24, 7) }],
    ['from too long ago', () => undefined, BODY, { ...at, nowMs: (NOW_S + 301) * 1_000 }],
    ['from the future', () => undefined, BODY, { ...at, nowMs: (NOW_S - 301) * 1_000 }],
  ])('%s is none', (_, change, body, against) => {
    const headers = sent();
    change(headers);
    expect(webhookFault(headers, Buffer.from(body), against)).toEqual(expect.any(String));
  });
});
