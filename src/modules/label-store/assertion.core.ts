import type { Actor } from '../../rails/actor.js';
import { digestCanonical, inOrder } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import type { EventId } from '../../rails/envelope.schema.js';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { type Label, WITHDRAWN } from '../../rails/events/label.schema.js';
import { labelIdOf, type LabelTarget } from '../../rails/labels/target.js';
import { differingPins, type RunPins } from '../../rails/pins.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import { compareUtc, parseUtc, type UtcMicros } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import { type Assertion, AssertionSchema } from './assertion.schema.js';
import type { StorePolicy, Writer } from './label-store.policy.js';

export type LabelCode =
  | 'LBL_ASSERTION_INVALID'
  | 'LBL_FORBIDDEN_PAYLOAD_STYLE'
  | 'LBL_MISSING_PINS'
  | 'LBL_INVALID_PINS'
  | 'LBL_INVALID_TARGET'
  | 'LBL_TARGET_UNKNOWN'
  | 'LBL_AMBIGUOUS_TARGET'
  | 'LBL_INVALID_TIME_FIELDS'
  | 'LBL_UNAUTHORIZED_WRITER'
  | 'LBL_LABEL_FAMILY_NOT_ALLOWED'
  | 'LBL_SUPERSEDES_INVALID'
  | 'LBL_IDEMPOTENCY_KEY_CONFLICT'
  | 'LBL_RUN_UNKNOWN';

/** Why an assertion was refused. Nothing of it is kept: the writer is told, and has it. */
export interface Refusal {
  readonly code: LabelCode;
  readonly detail: string;
}

/** A sound assertion of somebody who may make it; what it is about is still to be looked up. */
export interface Draft {
  readonly assertion: Assertion;
  readonly writer: Writer;
  readonly effective: UtcMicros | null;
  readonly reported: UtcMicros | null;
}

/** A label but for what the ledger adds: number, and when it was recorded and observed. */
export interface Entry {
  readonly pins: RunPins;
  readonly label: Omit<Label, 'ledger_seq' | 'observed_at_utc' | 'recorded_at_utc'>;
  /** Of a sealed world: the world's own time. Absent: the ledger's clock says. */
  readonly observed?: UtcMicros;
  readonly evidence: Assertion['evidence_refs'];
  /** Over all that it says, save who said it and under which policy: a retry by a colleague is a retry. */
  readonly content: Digest;
  readonly maySupersede: Writer['may_supersede'];
}

const assertions = validatorOf(AssertionSchema, 'the label');

export const isRefusal = (value: object): value is Refusal => 'code' in value;

/** What can be said of an assertion without looking anything up. */
export function draftOf(
  raw: unknown,
  { actor, policy, now }: { readonly actor: Actor; readonly policy: StorePolicy; readonly now: UtcMicros },
): Draft | Refusal {
  if (typeof raw === 'object' && raw !== null && !('run_id' in raw))
    return { code: 'LBL_MISSING_PINS', detail: 'run_id names the run that the target belongs to' };
  const checked = assertions.check(raw);
  if (!checked.ok) return shapeRefusal(checked.fault);
  const assertion = checked.value;
  const writer = policy.writers.find(
    ({ namespace, principals }) => namespace === assertion.namespace && principals.includes(actor.actor_id),
  );
  if (writer === undefined)
    return {
      code: 'LBL_UNAUTHORIZED_WRITER',
      detail: `${actor.actor_id} is no writer of the namespace ${assertion.namespace}`,
    };
  return (
    behalfRefusal(assertion, writer, actor) ??
    familyRefusal(assertion, writer, policy) ??
    timedDraft(assertion, writer, now)
  );
}

function shapeRefusal({ at, says }: { readonly at: string; readonly says: string }): Refusal {
  const detail = `${at === '' ? 'the label' : at} ${says}`;
  // A writer who sends more than references sends what we must not hold.
  if (says.startsWith('has a member that is not allowed')) return { code: 'LBL_FORBIDDEN_PAYLOAD_STYLE', detail };
  if (at.startsWith('/run_id') || at.startsWith('/pins')) return { code: 'LBL_INVALID_PINS', detail };
  if (at.startsWith('/target')) return { code: 'LBL_INVALID_TARGET', detail };
  if (at.startsWith('/effective_at_utc') || at.startsWith('/reported_at_utc'))
    return { code: 'LBL_INVALID_TIME_FIELDS', detail };
  return { code: 'LBL_ASSERTION_INVALID', detail };
}

function behalfRefusal({ on_behalf_of: person }: Assertion, writer: Writer, actor: Actor): Refusal | undefined {
  const no = (detail: string): Refusal => ({ code: 'LBL_UNAUTHORIZED_WRITER', detail });
  if (person !== undefined && writer.may_act_for_people !== true)
    return no(`${writer.namespace} may not write in the name of others`);
  if (writer.source_type === 'HUMAN' && (person ?? actor).source_type !== 'HUMAN')
    return no('the source is a person, and none is named');
  return undefined;
}

function familyRefusal(
  { label_type, label_value, target, supersedes }: Assertion,
  writer: Writer,
  { vocabulary }: StorePolicy,
): Refusal | undefined {
  const no = (detail: string): Refusal => ({ code: 'LBL_LABEL_FAMILY_NOT_ALLOWED', detail });
  if (!writer.label_types.includes(label_type)) return no(`${writer.namespace} may not write ${label_type}`);
  const kind = target.kind === 'TRANSACTION' ? 'EVENT' : target.kind;
  if (!writer.target_kinds.includes(kind)) return no(`${writer.namespace} may not label what is ${kind}`);
  if (label_value === WITHDRAWN)
    return supersedes === undefined
      ? { code: 'LBL_SUPERSEDES_INVALID', detail: `${WITHDRAWN} takes a label back: supersedes must name it` }
      : undefined;
  if (!(vocabulary[label_type]?.includes(label_value) ?? false))
    return no(`the vocabulary of ${label_type} has no such value`);
  return undefined;
}

function timedDraft(assertion: Assertion, writer: Writer, now: UtcMicros): Draft | Refusal {
  const times: Record<'effective_at_utc' | 'reported_at_utc', UtcMicros | null> = {
    effective_at_utc: null,
    reported_at_utc: null,
  };
  for (const name of ['effective_at_utc', 'reported_at_utc'] as const) {
    const text = assertion[name];
    if (text === undefined) continue;
    try {
      times[name] = parseUtc(text);
    } catch (error) {
      if (!isProbityError(error)) throw error;
      return { code: 'LBL_INVALID_TIME_FIELDS', detail: `/${name}: ${error.detail}` };
    }
    if (compareUtc(times[name], now) > 0)
      return { code: 'LBL_INVALID_TIME_FIELDS', detail: `/${name} lies in the future` };
  }
  return { assertion, writer, effective: times.effective_at_utc, reported: times.reported_at_utc };
}

/** What was found of the target of a draft. */
export interface Found {
  readonly pins: RunPins;
  readonly target: LabelTarget;
  /** Of an event. */
  readonly ts: UtcMicros | null;
}

export function entryOf(
  { assertion, writer, effective, reported }: Draft,
  { pins, target, ts }: Found,
  { actor, policyRev, now }: { readonly actor: Actor; readonly policyRev: PolicyRev; readonly now: UtcMicros },
): Entry | Refusal {
  if (assertion.pins !== undefined && differingPins(assertion.pins, pins).length > 0)
    return { code: 'LBL_INVALID_PINS', detail: `the run has other ${differingPins(assertion.pins, pins).join(', ')}` };
  const { label_type, label_value, namespace, handle, confidence_ppm, supersedes, on_behalf_of } = assertion;
  const { evidence_refs: evidence } = assertion;
  const said = {
    label_value,
    // What happened to an entity is not told by an event: unless stated, it is from now on.
    effective_at_utc: effective ?? ts ?? now,
    ...(confidence_ppm === undefined ? {} : { confidence_ppm }),
    ...(reported === null ? {} : { reported_at_utc: reported }),
    ...(supersedes === undefined ? {} : { supersedes }),
  };
  return {
    pins,
    label: {
      label_id: labelIdOf({ pins, target, label_type, namespace, handle }),
      target,
      label_type,
      ...said,
      source: {
        type: writer.source_type,
        namespace,
        actor: on_behalf_of ?? actor,
        ...(on_behalf_of === undefined ? {} : { via: actor.actor_id }),
      },
      policy_rev: policyRev,
    },
    evidence,
    content: contentOf({
      ...said,
      // Left to us, it is not part of what was said: a retry a second later says the same.
      effective_at_utc: effective ?? ts,
      source_type: writer.source_type,
      evidence: (evidence ?? []).map((each) => digestCanonical(inOrder(each))).sort(),
    }),
    maySupersede: writer.may_supersede,
  };
}

export function contentOf(said: object): Digest {
  return digestCanonical(inOrder(said));
}

/** The label that another is to take the place of, as the ledger has it. */
export interface Superseded {
  readonly label_id: string;
  readonly run_id: string;
  readonly target_key: string;
  readonly label_type: string;
  readonly namespace: string;
  readonly observed_at_utc: UtcMicros;
}

/** Explicit, and of the very same thing; and a label cannot take back what is known only later than itself. */
export function supersedesRefusal(
  entry: Entry,
  targetKey: string,
  observed: UtcMicros,
  named: Superseded | undefined,
): Refusal | undefined {
  const no = (detail: string): Refusal => ({ code: 'LBL_SUPERSEDES_INVALID', detail });
  if (entry.label.supersedes === undefined) return undefined;
  if (named === undefined) return no('the ledger has no label of this id');
  if (named.run_id !== entry.pins.run_id || named.target_key !== targetKey)
    return no('it is a label of another target');
  if (named.label_type !== entry.label.label_type) return no('it is a label of another type');
  if (entry.maySupersede === 'own' && named.namespace !== entry.label.source.namespace)
    return no(`${entry.label.source.namespace} may take back its own labels alone`);
  if (named.observed_at_utc > observed) return no('it was observed later than this one');
  return undefined;
}

export const eventTarget = (eventId: string): LabelTarget => ({ kind: 'EVENT', event_id: eventId as EventId });
