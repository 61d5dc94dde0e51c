import { Type } from '@sinclair/typebox';
import { BasisSchema } from '../basis.js';
import { DigestSchema } from '../digest.js';
import { EventIdSchema } from '../envelope.schema.js';
import { ContextPinsSchema } from '../pins.js';
import { PolicyRevSchema } from '../policy-rev.js';
import { closed, safeInteger, type Sealed } from '../schema.js';

const payers = (through: string) =>
  Type.Union([safeInteger(0, `payers that were seen with the event's own ${through} before it`), Type.Null()]);

/**
 * What the graph says of one event: whole numbers under fixed names, by which rules and models know them as `graph.<name>`.
 * null: the event has no such identifier.
 */
export const GraphValuesSchema = closed({
  /** Identifiers that hang together with the event's own, within the walk's bounds; its own among them. */
  component_size: safeInteger(0, 'identifiers'),
  /** 1 when the walk ended at a bound and the component may be larger. */
  component_is_bounded: Type.Integer({ minimum: 0, maximum: 1 }),
  component_payers: safeInteger(0, 'cards, accounts and customers among them'),
  component_events: safeInteger(0, 'earlier events that the walk looked at'),
  /** Of these events, those that were known as fraud when the event came. */
  component_fraud_events: safeInteger(0, 'events'),
  component_fraud_share_e4: Type.Union([Type.Integer({ minimum: 0, maximum: 10_000 }), Type.Null()]),
  device_payers: payers('device'),
  ip_payers: payers('internet address'),
  address_payers: payers('billing or delivery address'),
  contact_payers: payers('e-mail address or telephone'),
  beneficiary_payers: payers('beneficiary'),
});
export type GraphValues = Sealed<typeof GraphValuesSchema>;

export const GRAPH_VALUES: readonly string[] = Object.keys(GraphValuesSchema.properties);

export const GraphContextSchema = closed(
  {
    pins: ContextPinsSchema,
    trigger: closed({ event_id: EventIdSchema }),
    values: GraphValuesSchema,
    integrity: Type.Union([Type.Literal('CLEAN'), Type.Literal('DEGRADED')]),
    /** By which fields are which identifiers, and how far a walk goes. */
    policy_rev: PolicyRevSchema,
    graph_version: BasisSchema,
    /** Of all the rest. */
    graph_context_hash: DigestSchema,
  },
  { description: 'What the identity graph says of one event, at which version of the graph.' },
);
export type GraphContext = Sealed<typeof GraphContextSchema>;
