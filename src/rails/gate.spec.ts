import { describe, expect, it } from '@jest/globals';
import { digestText } from './digest.js';
import { asGateReceipt, demandPass, gateFailure, type GateReceipt, type Readable } from './gate.js';
import { objectKey, refTo, type Ref } from './ref.js';

const artifact = refTo(objectKey('engine/out/part-0.parquet'), digestText('rows'), 4, 'application/octet-stream');
const scope = { manifest_fingerprint: 'a'.repeat(64), output_id: 'transactions' };
const demand = { gate_id: 'engine.output', scope };
const pass: GateReceipt = asGateReceipt({
  gate_id: 'engine.output',
  status: 'PASS',
  scope,
  artifact_digest: digestText('rows'),
  evidence: [refTo(objectKey('engine/out/validation.json'), digestText('{}'), 2, 'application/json')],
  reason_codes: [],
});

/** Stands for every reader of gated things: it takes nothing else. */
function read(ref: Readable<Ref>): string {
  return ref.locator;
}

describe('no PASS, no read', () => {
  it('opens what the receipt is about', () => {
    expect(read(demandPass(pass, artifact, demand))).toBe('engine/out/part-0.parquet');
    // The order of a scope's tokens says nothing.
    const turned = { output_id: 'transactions', manifest_fingerprint: 'a'.repeat(64) };
    expect(gateFailure({ ...pass, scope: turned }, artifact.digest.hex, demand)).toBeNull();
    // @ts-expect-error -- a bare ref has passed no gate, so that reading it does not compile
    expect(read(artifact)).toBe('engine/out/part-0.parquet');
  });

  it.each<[string, GateReceipt | null | undefined]>([
    ['MISSING', undefined],
    ['MISSING', null],
    ['FAIL', { ...pass, status: 'FAIL', reason_codes: ['ROW_COUNT'] }],
    ['FAIL', { ...pass, status: 'pass' as 'PASS' }],
    ['TAMPERED', { ...pass, artifact_digest: digestText('other rows') }],
    ['OTHER_SCOPE', { ...pass, scope: { ...scope, output_id: 'labels' } }],
    ['OTHER_SCOPE', { ...pass, scope: { ...scope, run_id: 'b'.repeat(32) } }],
    ['OTHER_SCOPE', { ...pass, scope: { output_id: 'transactions' } }],
    ['OTHER_GATE', { ...pass, gate_id: asGateReceipt({ ...pass, gate_id: 'engine.schema' }).gate_id }],
  ])('stays shut: %s', (failure, receipt) => {
    expect(() => demandPass(receipt, artifact, demand)).toThrow(
      expect.objectContaining({
        code: 'GATE_NOT_PASSED',
        data: { failure, gate_id: 'engine.output', locator: 'engine/out/part-0.parquet' },
      }),
    );
  });

  it('notices one changed byte of the artifact', () => {
    const changed = refTo(artifact.locator, digestText('rowz'), 4, artifact.media_type);
    expect(gateFailure(pass, changed.digest.hex, demand)).toBe('TAMPERED');
  });
});

describe('a gate receipt', () => {
  it.each<[string, object]>([
    ['another word for PASS', { status: 'OK' }],
    ['no scope', { scope: {} }],
    ['a scope of numbers', { scope: { seed: 7 } }],
    ['no digest', { artifact_digest: undefined }],
    ['evidence that is no ref', { evidence: ['engine/out/validation.json'] }],
    ['a member too many', { forced: true }],
  ])('with %s is refused', (_name, change) => {
    expect(() => asGateReceipt(JSON.parse(JSON.stringify({ ...pass, ...change })))).toThrow('VALUE_INVALID');
  });
});
