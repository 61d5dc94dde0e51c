import { describe, expect, it } from '@jest/globals';
import { answersOf } from './ingest-answers.core.js';

const ADMITTED = '{"decision":"ADMIT","receipt_id":"r1","event_id":"e1","reason_codes":[],"retryable":false}';
const REFUSED =
  '{"decision":"QUARANTINE","receipt_id":"r2","reason_codes":["SCHEMA_FAIL"],"retryable":false,"detail":"/payload/currency is missing"}';

describe('the answers of the doors for many', () => {
  it('gives each line its own, with the code and the place of a refusal', () => {
    const edges =
      '{"decision":"REFUSED","code":"EDGE_MAPPING_FAILED","at":"/amount","detail":"is a number","retryable":false}';
    const answers = answersOf(`${ADMITTED}\n${REFUSED}\n\n${edges}\n`, 3);
    expect(answers?.ended).toBeUndefined();
    expect(answers?.lines).toMatchObject([
      { accepted: 'ADMIT', eventId: 'e1', receiptId: 'r1' },
      { code: 'IG_SCHEMA_FAIL', detail: '/payload/currency is missing', receiptId: 'r2' },
      { code: 'EDGE_MAPPING_FAILED', detail: '/amount is a number' },
    ]);
    expect(answers?.lines[1]?.accepted).toBeUndefined();
  });

  it.each([
    ['{"error":{"code":"IG_PAUSED","detail":"paused","retryable":true,"data":{"retry_after_ms":1500}}}', 1_500, true],
    ['{"decision":"REFUSED","code":"IG_PAUSED","detail":"paused","retryable":true,"retry_after_ms":250}', 250, true],
    ['{"error":{"code":"HTTP_BODY_INVALID","detail":"broken off","retryable":false}}', undefined, false],
  ])('says from which line on nothing was taken: %s', (end, retryAfterMs, retryable) => {
    const answers = answersOf(`${ADMITTED}\n${end}\n`, 5);
    expect(answers?.lines).toHaveLength(1);
    expect(answers?.ended).toMatchObject({ retryAfterMs, retryable });
  });

  it('does not take a line without an answer for an admitted one', () => {
    expect(answersOf(`${ADMITTED}\n`, 2)).toBeUndefined();
    expect(answersOf('', 1)).toBeUndefined();
  });

  it.each([`${ADMITTED}\n${ADMITTED}\n`, 'ok\n', '[]\n', 'null\n'])('refuses what is no answer: %s', (text) => {
    expect(answersOf(text, 1)).toBeUndefined();
  });

  it('takes an unknown decision for a refusal', () => {
    expect(answersOf('{"decision":"MAYBE"}\n', 1)?.lines[0]).toMatchObject({ accepted: undefined, code: 'UNKNOWN' });
  });
});
