import { canonicalJson } from '../../rails/canonical-json.js';
import { gateFailure, type GateReceipt } from '../../rails/gate.js';
import { type Ref } from '../../rails/ref.js';
import {
  OUTPUT_GATE,
  type OutputIndex,
  outputScope,
  type SealedOutput,
  type WorldPins,
  type WorldSeal,
} from './sealed-world.js';
import { type Proven } from './scenario-runner.core.js';
import { type RunPlan, type RunReason } from './scenario-runner.port.js';

/** An object that a ref names, as it was found: read and verified, not there, or there with other bytes or another form. */
export type Found<Value> =
  | { readonly found: 'YES'; readonly value: Value }
  | { readonly found: 'NO' }
  | { readonly found: 'OTHER'; readonly why: string };

export interface OutputEvidence {
  readonly sealed: SealedOutput;
  readonly index: Found<OutputIndex>;
  readonly receipt: Found<GateReceipt>;
  /** Locators of parts that are not there. */
  readonly partsMissing: readonly string[];
  /** Locators of parts that stand with another digest or size than the index says. */
  readonly partsOther: readonly string[];
}

export interface Evidence {
  readonly seal: Found<WorldSeal>;
  readonly sealRef: Ref | null;
  /** Refs of the same seal by other ways: what the engine answered, what an earlier run of this world stood on. */
  readonly sealSeen: readonly string[];
  /** Of the outputs that the plan wants and the seal has. */
  readonly outputs: readonly OutputEvidence[];
}

/**
 * COMPLETE: everything that the plan wants is there and proven. WAITING: something is missing that may still come. FAIL: a
 * gate says no, or what is wanted can never come. CONFLICT: things that must agree do not, so that nobody can say which
 * of them is true.
 */
export type EvidenceVerdict =
  | { readonly verdict: 'COMPLETE'; readonly proven: Proven | null }
  | { readonly verdict: 'WAITING'; readonly missing: readonly string[] }
  | { readonly verdict: 'FAIL'; readonly reason: RunReason; readonly findings: readonly string[] }
  | { readonly verdict: 'CONFLICT'; readonly findings: readonly string[] };

interface Findings {
  readonly conflicts: string[];
  readonly fails: string[];
  readonly unbindable: string[];
  readonly missing: string[];
}

/**
 * The verdict over the evidence of a sealed world (law R3). A contradiction outweighs a refusal, a refusal outweighs what is
 * missing: a run never waits for a proof that could not save it.
 */
export function judgeEvidence(plan: RunPlan, evidence: Evidence): EvidenceVerdict {
  const found: Findings = { conflicts: [], fails: [], unbindable: [], missing: [] };
  const { seal, sealRef } = evidence;
  if (seal.found === 'OTHER') found.conflicts.push(`the seal: ${seal.why}`);
  if (seal.found === 'NO' || sealRef === null) found.missing.push('the seal of the world');
  if (seal.found === 'YES' && sealRef !== null) {
    judgeSeal(plan, seal.value, sealRef, evidence.sealSeen, found);
    for (const output of evidence.outputs) judgeOutput(plan, output, found);
  }

  if (found.conflicts.length > 0) return { verdict: 'CONFLICT', findings: found.conflicts };
  if (found.unbindable.length > 0)
    return { verdict: 'FAIL', reason: 'UNBINDABLE_OUTPUT', findings: [...found.unbindable, ...found.fails] };
  if (found.fails.length > 0) return { verdict: 'FAIL', reason: 'GATE_FAIL', findings: found.fails };
  if (found.missing.length > 0 || seal.found !== 'YES' || sealRef === null)
    return { verdict: 'WAITING', missing: found.missing };
  const receipts = evidence.outputs.flatMap(({ receipt }) => (receipt.found === 'YES' ? [receipt.value] : []));
  const outputs = evidence.outputs.map(({ sealed }) => sealed);
  return { verdict: 'COMPLETE', proven: { seal: seal.value, sealRef, outputs, receipts } };
}

/** A live run stands on its declaration alone. */
export const NOTHING_TO_PROVE: EvidenceVerdict = { verdict: 'COMPLETE', proven: null };

/** The outputs of the seal that the plan wants. */
export function wantedOutputs(plan: RunPlan, seal: WorldSeal): readonly SealedOutput[] {
  return plan.outputs.length === 0
    ? seal.outputs
    : seal.outputs.filter(({ output_id }) => plan.outputs.includes(output_id));
}

function judgeSeal(plan: RunPlan, seal: WorldSeal, ref: Ref, seen: readonly string[], found: Findings): void {
  const { run_id: _, ...worldPins } = plan.pins;
  if (!same(seal.pins, worldPins)) found.conflicts.push("the seal's pins are not the plan's");
  if (seal.kind !== plan.kind) found.conflicts.push(`the seal is of a world of the kind ${seal.kind}`);
  if (seen.some((digest) => digest !== ref.digest.hex))
    found.conflicts.push('two materialisations: this world was sealed with another digest before');
  const ids = seal.outputs.map(({ output_id }) => output_id);
  if (new Set(ids).size < ids.length) found.conflicts.push('the seal names an output twice');
  if (seal.status !== 'SEALED_OK')
    found.fails.push(`the world is sealed as failed: ${seal.reason_codes.join(', ') || 'no reason given'}`);
  for (const id of plan.outputs) {
    // A sealed world is complete, so that what it lacks will never come.
    if (!ids.includes(id)) found.unbindable.push(`the world has no output ${id}`);
  }
}

function judgeOutput(plan: RunPlan, evidence: OutputEvidence, found: Findings): void {
  const { sealed, index, receipt, partsMissing, partsOther } = evidence;
  const { run_id: _, ...worldPins } = plan.pins;
  const name = `output ${sealed.output_id}`;
  if (sealed.role === 'business_traffic' && (sealed.event_type === undefined || sealed.schema_version === undefined))
    found.unbindable.push(`${name} is traffic without event type and version`);

  if (index.found === 'NO') found.missing.push(`the index of ${name}`);
  if (index.found === 'OTHER') found.conflicts.push(`the index of ${name}: ${index.why}`);
  if (index.found === 'YES') judgeIndex(sealed, index.value, worldPins, found);
  found.missing.push(...partsMissing.map((locator) => `the part ${locator} of ${name}`));
  found.conflicts.push(...partsOther.map((locator) => `the part ${locator} of ${name} has other bytes`));

  if (receipt.found === 'OTHER') found.conflicts.push(`the receipt of ${name}: ${receipt.why}`);
  // The gate of the engine's outputs opens them to every reader, so that it is demanded whatever the policy lists.
  for (const gate_id of new Set([OUTPUT_GATE, ...plan.required_gates])) {
    const demand = { gate_id, scope: outputScope(worldPins, sealed.output_id) };
    const failure = gateFailure(receipt.found === 'YES' ? receipt.value : null, sealed.index.digest.hex, demand);
    if (failure === null || (failure === 'MISSING' && receipt.found === 'OTHER')) continue;
    const finding = `gate ${gate_id} of ${name}: ${failure}`;
    // A receipt of another gate is no receipt of this one: what is demanded is missing.
    if (failure === 'MISSING' || failure === 'OTHER_GATE') found.missing.push(finding);
    else if (failure === 'FAIL') found.fails.push(finding);
    else found.conflicts.push(finding);
  }
}

/** What the index says of itself must be what the seal says of it: the digest alone would also hold for another output's index. */
function judgeIndex(sealed: SealedOutput, index: OutputIndex, worldPins: WorldPins, found: Findings): void {
  const name = `output ${sealed.output_id}`;
  const { output_id, role, event_type, schema_version, rows } = sealed;
  const claimed = { output_id, role, event_type: event_type ?? null, schema_version: schema_version ?? null, rows };
  const actual = {
    output_id: index.output_id,
    role: index.role,
    event_type: index.event_type ?? null,
    schema_version: index.schema_version ?? null,
    rows: index.rows,
  };
  if (!same(claimed, actual)) found.conflicts.push(`the index of ${name} is about another output than the seal says`);
  if (!same(index.pins, worldPins)) found.conflicts.push(`the index of ${name} is of another world`);
  let next = 0;
  for (const part of index.parts) {
    if (part.first_row !== next) found.conflicts.push(`the parts of ${name} do not join at row ${next}`);
    next = part.first_row + part.rows;
  }
  if (next !== index.rows) found.conflicts.push(`the parts of ${name} have ${next} rows, the index ${index.rows}`);
}

function same(a: unknown, b: unknown): boolean {
  return canonicalJson(a) === canonicalJson(b);
}
