import { Type } from '@sinclair/typebox';
import { BasisSchema } from '../basis.js';
import { DigestSchema } from '../digest.js';
import { EventIdSchema } from '../envelope.schema.js';
import { ContextPinsSchema } from '../pins.js';
import { closed, safeInteger, type Sealed } from '../schema.js';

/**
 * What the graph says of one event: whole numbers under fixed names, by which rules and models know them as `graph.<name>`.
 * null: the event has no such identifier.
 */
export const GraphValuesSchema = closed({
  /** Identifiers that hang together with the event's own, within the walk's bound. */
  component_size: safeInteger(0, 'identifiers'),
  /** 1 when the walk ended at its bound and the component may be larger. */
  component_is_bounded: Type.Integer({ minimum: 0, maximum: 1 }),
  component_payers: safeInteger(0, 'cards, accounts and customers among them'),
  /** Events on the component's identifiers that were known as fraud when the event came, of all of them, × 10,000. */
  component_fraud_share_e4: Type.Union([Type.Integer({ minimum: 0, maximum: 10_000 }), Type.Null()]),
  component_fraud_events: safeInteger(0, 'events'),
  /** Payers that were ever seen with the event's own device, address and so on. */
  device_payers: Type.Union([safeInteger(0, 'payers'), Type.Null()]),
  ip_payers: Type.Union([safeInteger(0, 'payers'), Type.Null()]),
  address_payers: Type.Union([safeInteger(0, 'payers'), Type.Null()]),
  contact_payers: Type.Union([safeInteger(0, 'payers, by e-mail or telephone'), Type.Null()]),
  beneficiary_payers: Type.Union([safeInteger(0, 'payers'), Type.Null()]),
});
export type GraphValues = Sealed<typeof GraphValuesSchema>;

export const GraphContextSchema = closed(
  {
    pins: ContextPinsSchema,
    trigger: closed({ event_id: EventIdSchema }),
    values: GraphValuesSchema,
    integrity: Type.Union([Type.Literal('CLEAN'), Type.Literal('DEGRADED')]),
    graph_version: BasisSchema,
    /** Of all the rest. */
    graph_context_hash: DigestSchema,
  },
  { description: 'What the identity graph says of one event, at which version of the graph.' },
);
export type GraphContext = Sealed<typeof GraphContextSchema>;
