import { type CanonicalJson, type JsonObject } from '../../rails/canonical-json.js';
import { type Digest } from '../../rails/digest.js';
import { checkEnvelope, envelopePins } from '../../rails/envelope.js';
import { type Envelope, type EventId } from '../../rails/envelope.schema.js';
import { errorSpec } from '../../rails/errors/registry.js';
import { differingPins, PIN_NAMES, type RunId, type RunPins } from '../../rails/pins.js';
import { sha256 } from './identity.core.js';
import { type Reason, type Stage } from './ingestion-gate.port.js';
import { CanonicalWriter, NoCanonicalForm, readJson } from './json.core.js';
import { type AdmissionRules, type TypeRule } from './rules.core.js';

/**
 * The judgement of the gate. Two passes over a batch, since between them somebody has to look at the runs:
 *
 *     text --inspect--> Inspected --place(run)--> Candidate
 *       \--> Refusal        \--> Refusal
 *
 * The order of the checks is that of STAGES; the first that fails names the stage. Nothing is repaired, nothing is
 * filled in, and no sentence quotes a value.
 */

/** Why an event was stopped. The facts of its envelope are given as far as they were found to be well-formed. */
export interface Refusal {
  readonly stage: Stage;
  readonly reason: Reason;
  readonly retryable: boolean;
  /** What is wrong and where, never the value. */
  readonly detail: string;
  readonly envelope?: Envelope;
  readonly pins?: RunPins;
  readonly payloadHash?: Digest;
  readonly contentDigest?: Digest;
}

/** An event that is well-formed, its producer's to send, and says of which run it is. */
export interface Inspected {
  readonly envelope: Envelope;
  readonly pins: RunPins;
  /** What goes onto the bus: the canonical text of the whole envelope, trace included. */
  readonly text: CanonicalJson;
  /** UTF-8 bytes of `text`. */
  readonly bytes: number;
  /** Equal to the rails' payloadHash and eventContentDigest of the envelope. */
  readonly payloadHash: Digest;
  readonly contentDigest: Digest;
  readonly rule: TypeRule;
}

/** An event that may be admitted, unless its identity is taken. */
export interface Candidate extends Inspected {
  readonly admissionId: Digest;
  readonly partitionKey: string;
}

/** A run as far as the gate needs it. */
export type RunFacts = { readonly state: 'UNKNOWN' | 'NOT_READY' | 'UNREADABLE'; readonly detail: string } | ReadyRun;

export interface ReadyRun {
  readonly state: 'READY';
  readonly pins: RunPins;
  readonly admissionId: (eventId: EventId) => Digest;
  readonly traffic: readonly {
    readonly event_type: string;
    readonly schema_version: string;
    readonly output_id?: string;
  }[];
  /** Role by output id. */
  readonly roles: ReadonlyMap<string, string>;
}

export interface Sender {
  readonly principalId: string;
  /** The event id of the quarantined event that is superseded, null where it had none; absent when nothing is superseded. */
  readonly supersedes?: { readonly eventId: string | null };
}

/**
 * What a record carries beside the event: its key (at most KEY_CHARS_MAX characters of four bytes) and the trace headers. The
 * topic takes records of 1 MiB, and one event that is too large for it would take its whole batch down.
 */
const RECORD_BYTES_MAX = 1_048_576;
const KEY_CHARS_MAX = 200;
const BESIDE_BYTES = KEY_CHARS_MAX * 4 + 1_024;

export function isRefusal(verdict: object): verdict is Refusal {
  return 'reason' in verdict;
}

/** Everything about an event that its text, its sender and the policy decide. */
export function inspect(text: string, sender: Sender, rules: AdmissionRules): Inspected | Refusal {
  const bytesMax = Math.min(rules.eventBytesMax, RECORD_BYTES_MAX - BESIDE_BYTES);
  const tooLarge = `the event is larger than ${bytesMax} bytes`;
  if (text.length > bytesMax || Buffer.byteLength(text) > bytesMax) return stop('size', 'PAYLOAD_TOO_LARGE', tooLarge);
  const reading = readJson(text);
  if (!reading.ok) return stop('parse', 'ENVELOPE_INVALID', `the event ${reading.says}`);
  const { value } = reading;
  if (!isObject(value)) return stop('envelope', 'ENVELOPE_INVALID', 'the event is not a JSON object');

  let written: Written;
  try {
    written = write(value, new CanonicalWriter(reading.look));
  } catch (error) {
    if (error instanceof NoCanonicalForm) return stop('parse', 'ENVELOPE_INVALID', `the event ${error.says}`);
    throw error;
  }
  // Canonical numbers can be longer than those that were sent: 1e20 becomes 21 digits.
  const bytes = Buffer.byteLength(written.text);
  if (bytes > bytesMax) return stop('size', 'PAYLOAD_TOO_LARGE', `in canonical form ${tooLarge}`);

  const verdict = checkEnvelope(value);
  if (!verdict.ok) {
    const { at, says } = verdict.fault;
    const atPin = PIN_NAMES.some((name) => at === `/${name}`);
    return stop('envelope', atPin ? 'PINS_INVALID' : 'ENVELOPE_INVALID', `${at === '' ? 'the envelope' : at} ${says}`);
  }
  const envelope = verdict.value;
  const found = { envelope, ...digestsOf(written) };
  const refuse = (stage: Stage, reason: Reason, detail: string): Refusal => ({
    ...stop(stage, reason, detail),
    ...found,
    ...pinsAsFound(envelope),
  });

  if (!namesParent(envelope, sender))
    return refuse('envelope', 'ENVELOPE_INVALID', '/parent_event_id must name the event that is superseded');
  const { producer } = envelope;
  if (producer === undefined) return refuse('producer', 'PRODUCER_MISMATCH', 'the envelope names no producer');
  if (!rules.isOwn(producer, sender.principalId))
    return refuse('producer', 'PRODUCER_MISMATCH', '/producer is not a name of this caller');
  if (!rules.admits(producer, envelope))
    return refuse('allowlist', 'POLICY_DENY', 'the producer may not send this type in this scenario');
  const rule = rules.type(envelope.event_type);
  if (rule === undefined) return refuse('allowlist', 'EVENT_TYPE_UNKNOWN', '/event_type is not in the class map');
  const { schema_version } = envelope;
  if (schema_version === undefined)
    return refuse('payload', 'SCHEMA_VERSION_MISSING', 'the envelope names no schema_version');
  const validator = rule.validators.get(schema_version);
  if (validator === undefined)
    return refuse('payload', 'SCHEMA_UNKNOWN', '/schema_version is not one that is admitted for this type');
  if (envelope.payload === undefined) return refuse('payload', 'SCHEMA_FAIL', 'the envelope has no payload');
  const payload = validator.check(envelope.payload);
  if (!payload.ok) return refuse('payload', 'SCHEMA_FAIL', `/payload${payload.fault.at} ${payload.fault.says}`);

  const pins = pinsOf(envelope);
  if (pins === null) {
    const fault = envelopePins(envelope);
    if (!fault.ok) return refuse('pins', fault.reason, `the pins ${fault.names.join(', ')} are missing or contradict`);
    return refuse('pins', 'PINS_MISSING', 'an event of a run has all five pins');
  }
  return {
    envelope,
    pins,
    text: written.text,
    bytes,
    rule,
    payloadHash: found.payloadHash,
    contentDigest: found.contentDigest,
  };
}

/**
 * The digests of a record's text, as `inspect` takes them, in one walk. null for a text that no gate wrote.
 */
export function digestsOfText(
  text: string,
): { readonly envelope: Envelope; readonly payloadHash: Digest; readonly contentDigest: Digest } | null {
  const reading = readJson(text);
  if (!reading.ok || !isObject(reading.value)) return null;
  try {
    const written = write(reading.value, new CanonicalWriter(reading.look));
    return { envelope: reading.value as unknown as Envelope, ...digestsOf(written) };
  } catch (error) {
    if (error instanceof NoCanonicalForm) return null;
    throw error;
  }
}

/** Whether the run that the event names takes it, and where on the topic it belongs. */
export function place(event: Inspected, run: RunFacts): Candidate | Refusal {
  const refuse = (stage: Stage, reason: Reason, detail: string): Refusal => ({
    ...stop(stage, reason, detail),
    envelope: event.envelope,
    pins: event.pins,
    payloadHash: event.payloadHash,
    contentDigest: event.contentDigest,
  });
  switch (run.state) {
    case 'UNKNOWN':
      return refuse('run', 'UNKNOWN_RUN', run.detail);
    case 'NOT_READY':
      return refuse('run', 'RUN_NOT_READY', run.detail);
    case 'UNREADABLE':
      return refuse('run', 'JOIN_SURFACE_MISSING', run.detail);
    case 'READY':
      break;
  }
  const foreign = differingPins(event.pins, run.pins);
  if (foreign.length > 0) return refuse('run', 'PIN_MISMATCH', `the run has another ${foreign.join(', ')}`);
  if (event.rule.class === 'traffic') {
    const fault = trafficFault(event.envelope, run);
    if (fault !== null) return refuse('traffic', fault.reason, fault.detail);
  }
  const partitionKey = partitionKeyOf(event.envelope.payload ?? {}, event.rule.partitionKey);
  if (partitionKey === null)
    return refuse(
      'partition_key',
      'PARTITION_KEY_MISSING',
      `/payload has none of ${event.rule.partitionKey.join(', ')} as a text of 1 to ${KEY_CHARS_MAX} characters`,
    );
  // Member by member: a spread of so many costs a microsecond, and this is done for every event.
  const { envelope, pins, text, bytes, payloadHash, contentDigest, rule } = event;
  const admissionId = run.admissionId(envelope.event_id);
  return { envelope, pins, text, bytes, payloadHash, contentDigest, rule, partitionKey, admissionId };
}

/** Another content under an identity that is taken: the first stands (law R6). */
export function conflict(event: Candidate): Refusal {
  const { envelope, pins, payloadHash, contentDigest } = event;
  const stopped = stop(
    'identity',
    'PAYLOAD_HASH_MISMATCH',
    'another content was admitted under this id and these pins',
  );
  return { ...stopped, envelope, pins, payloadHash, contentDigest };
}

/** The runs that have to be looked at, each once. */
export function runsOf(verdicts: readonly (Inspected | Refusal)[]): ReadonlySet<RunId> {
  const runs = new Set<RunId>();
  for (const verdict of verdicts) if (!isRefusal(verdict)) runs.add(verdict.pins.run_id);
  return runs;
}

interface Written {
  readonly text: CanonicalJson;
  readonly content: string;
  readonly payload: string;
}

const TRACE: ReadonlySet<string> = new Set(['trace_id', 'span_id']);

/** Three texts in one walk: the envelope, the same without its trace, and the payload, which stands in both. */
function write(value: JsonObject, writer: CanonicalWriter): Written {
  let [text, content] = ['', ''];
  let payload = 'null';
  writer.members(value, (name, member) => {
    text += text === '' ? member : `,${member}`;
    if (!TRACE.has(name)) content += content === '' ? member : `,${member}`;
    // `"payload":` is ten characters.
    if (name === 'payload') payload = member.slice(10);
  });
  writer.demandEachNameOnce();
  return { text: `{${text}}` as CanonicalJson, content: `{${content}}`, payload };
}

function digestsOf({ content, payload }: Written): { readonly payloadHash: Digest; readonly contentDigest: Digest } {
  return { payloadHash: sha256(payload), contentDigest: sha256(content) };
}

function stop(stage: Stage, reason: Reason, detail: string): Refusal {
  return { stage, reason, retryable: errorSpec(`IG_${reason}`).retryable, detail };
}

function pinsAsFound(envelope: Envelope): { readonly pins?: RunPins } {
  const pins = pinsOf(envelope);
  return pins === null ? {} : { pins };
}

/** The five pins of an envelope that has them all: their forms were checked with it. */
function pinsOf(envelope: Envelope): RunPins | null {
  const { manifest_fingerprint, parameter_hash, seed, scenario_id, run_id } = envelope;
  if (parameter_hash === undefined || seed === undefined || scenario_id === undefined || run_id === undefined)
    return null;
  return { manifest_fingerprint, parameter_hash, seed, scenario_id, run_id };
}

/** A corrected event is a new one that names the old; one that is released unchanged is the old one, and has its id. */
function namesParent(envelope: Envelope, { supersedes }: Sender): boolean {
  if (supersedes === undefined || supersedes.eventId === null) return true;
  return envelope.event_id === supersedes.eventId || envelope.parent_event_id === supersedes.eventId;
}

interface TrafficFault {
  readonly reason: 'ROLE_NOT_TRAFFIC' | 'NOT_DECLARED_TRAFFIC_TARGET';
  readonly detail: string;
}

/** Whether the run declares the type, and the output of which the event says that it was made. */
function trafficFault(envelope: Envelope, run: ReadyRun): TrafficFault | null {
  const { event_type, schema_version, payload } = envelope;
  const isTraffic = (outputId: string): boolean => run.roles.get(outputId) === 'business_traffic';
  const source = payload?.['source'];
  const named = isObject(source) ? source['output_id'] : undefined;
  if (typeof named === 'string' && run.roles.has(named) && !isTraffic(named))
    return { reason: 'ROLE_NOT_TRAFFIC', detail: '/payload/source/output_id is an output with another role' };
  const targets = run.traffic.filter(
    (target) => target.event_type === event_type && target.schema_version === schema_version,
  );
  if (targets.length === 0)
    return { reason: 'NOT_DECLARED_TRAFFIC_TARGET', detail: 'the run declares no traffic of this type and version' };
  if (typeof named === 'string' && !targets.some(({ output_id }) => output_id === named))
    return { reason: 'NOT_DECLARED_TRAFFIC_TARGET', detail: '/payload/source/output_id is not declared as traffic' };
  if (targets.every(({ output_id }) => output_id !== undefined && !isTraffic(output_id)))
    return { reason: 'ROLE_NOT_TRAFFIC', detail: 'the output that the run declares has another role' };
  return null;
}

/** The first member that is there; a text that Postgres cannot hold (U+0000) is no key. */
function partitionKeyOf(payload: JsonObject, names: readonly string[]): string | null {
  for (const name of names) {
    const value = payload[name];
    if (value === undefined || value === null) continue;
    const usable =
      typeof value === 'string' && value !== '' && value.length <= KEY_CHARS_MAX && !value.includes('\u0000');
    return usable ? value : null;
  }
  return null;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
