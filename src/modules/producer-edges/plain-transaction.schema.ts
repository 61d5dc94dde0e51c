import { type TSchema, Type } from '@sinclair/typebox';
import { PAYERS, TransactionSchema } from '../../rails/events/transaction.schema.js';
import { closed } from '../../rails/schema.js';

const { amount_minor, ...others } = TransactionSchema.properties;

/** What `POST /v1/transactions` takes: `transaction` v1 with the time of the payment, the amount in either form. */
export const PlainTransactionSchema: TSchema = closed(
  {
    occurred_at: Type.String({
      description: 'when the payment happened: RFC 3339 with Z or an offset, at most to the microsecond',
    }),
    amount: Type.Optional(
      Type.String({
        pattern: '^(0|[1-9][0-9]{0,15})([.][0-9]+)?$',
        description: 'in the currency\'s own decimals, as a text: "12.30"',
      }),
    ),
    amount_minor: Type.Optional(amount_minor),
    ...others,
  },
  {
    description: 'A payment as its owner sends it: the edge makes the envelope.',
    oneOf: (['amount', 'amount_minor'] as const).map(demanded),
    anyOf: PAYERS.map(demanded),
  },
);

function demanded(member: string): object {
  return { required: [member], properties: { [member]: true } };
}
