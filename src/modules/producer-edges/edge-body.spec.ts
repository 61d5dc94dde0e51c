import { describe, expect, it } from '@jest/globals';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { ANSWERS_MAX, takeBody, type TakenBody } from './edge-body.js';
import { type EdgeResult } from './edge.result.js';
import { type Made } from './transaction.core.js';

const make = (message: unknown): Made => ({ ok: true, event_id: 'e', transaction_id: String(message), text: '{}' });

async function* arriving(text: string, bytes = 1_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < text.length; at += bytes) yield await Promise.resolve(Buffer.from(text.slice(at, at + bytes)));
}

/** Admits everything, and fails at the calls whose numbers are given. */
function gate(failing: ReadonlyMap<number, ProbityError> = new Map()) {
  const calls: number[] = [];
  const submit = (batch: readonly Made[]): Promise<readonly EdgeResult[]> => {
    calls.push(batch.length);
    const error = failing.get(calls.length);
    if (error !== undefined) return Promise.reject(error);
    return Promise.resolve(
      batch.map((made) => ({
        decision: made.ok ? 'ADMIT' : 'REFUSED',
        ...(made.ok ? { transaction_id: made.transaction_id } : { code: made.fault.code }),
        retryable: false,
      })),
    );
  };
  return { calls, submit };
}

const list = (count: number): string => JSON.stringify(Array.from({ length: count }, (_, at) => at));
const paused = new ProbityError('IG_PAUSED', 'paused', { data: { retry_after_ms: 9 } });
const last = ({ results }: TakenBody): unknown => results.at(-1);

describe('a body at an edge', () => {
  it('is taken in batches, whatever pieces it comes in', async () => {
    const { calls, submit } = gate();
    const { results, single } = await takeBody(arriving(list(1_234), 7), 'json', make, submit);
    expect(results.map(({ transaction_id }) => transaction_id)).toEqual(
      Array.from({ length: 1_234 }, (_, at) => String(at)),
    );
    expect([calls, single]).toEqual([[500, 500, 234], false]);
  });

  it('is one message where it is not a list', async () => {
    const singleOf = async (text: string, form: 'json' | 'lines'): Promise<boolean> =>
      (await takeBody(arriving(text), form, make, gate().submit)).single;
    expect(
      await Promise.all([
        singleOf(' 1 ', 'json'),
        singleOf('[1]', 'json'),
        singleOf('1\n', 'lines'),
        singleOf('1 2', 'json'),
      ]),
    ).toEqual([true, false, false, false]);
  });

  it('keeps the answers that it has when the gate fails, and asks no further', async () => {
    const { calls, submit } = gate(new Map([[2, paused]]));
    const taken = await takeBody(arriving(list(2_000)), 'json', make, submit);
    expect(taken.results).toHaveLength(501);
    expect(last(taken)).toEqual({
      decision: 'REFUSED',
      code: 'IG_PAUSED',
      detail: 'paused',
      retryable: true,
      retry_after_ms: 9,
    });
    expect(calls).toEqual([500, 500]);
    await expect(takeBody(arriving(list(3)), 'json', make, gate(new Map([[1, paused]])).submit)).rejects.toBe(paused);
  });

  it('takes what is complete of a body that breaks off', async () => {
    const taken = await takeBody(arriving('[1, 2, {"a'), 'json', make, gate().submit);
    expect(taken.results).toHaveLength(3);
    expect(last(taken)).toMatchObject({ decision: 'REFUSED', code: 'HTTP_BODY_INVALID', retryable: false });
    const both = await takeBody(
      arriving(`${list(500).slice(0, -1)},1,`),
      'json',
      make,
      gate(new Map([[2, paused]])).submit,
    );
    expect(last(both)).toMatchObject({ code: 'IG_PAUSED' });
  });

  it('has an end, past which nothing is taken', async () => {
    const { calls, submit } = gate();
    const taken = await takeBody(arriving(list(ANSWERS_MAX + 3), 65_536), 'json', make, submit);
    expect(taken.results).toHaveLength(ANSWERS_MAX + 1);
    expect(last(taken)).toMatchObject({ code: 'EDGE_ANSWERS_TOO_MANY' });
    expect(calls.reduce((sum, count) => sum + count, 0)).toBe(ANSWERS_MAX);
  });

  it('is passed over message by message where one cannot be read', async () => {
    const { results } = await takeBody(
      arriving(`[1,nonsense,"${'x'.repeat(1_000_000)}"]`, 65_536),
      'json',
      make,
      gate().submit,
    );
    expect(results.map(({ decision, code }) => code ?? decision)).toEqual([
      'ADMIT',
      'HTTP_BODY_INVALID',
      'HTTP_BODY_TOO_LARGE',
    ]);
  });

  it('throws on what is a defect of the program', async () => {
    const defect = new TypeError('x');
    await expect(takeBody(arriving('1'), 'json', make, () => Promise.reject(defect))).rejects.toBe(defect);
  });
});
