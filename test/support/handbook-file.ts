import { seeded } from './kafka-log.js';

/**
 * A file in the layout of the preset `handbook`, from a seed: naive UTC times that rise, two decimals, a few frauds. Small
 * enough to make in a test, and like nobody else's data.
 */
export function handbookFile(rows: number, seed: number): string {
  const random = seeded(seed);
  const lines = [
    'TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_TIME_SECONDS,TX_TIME_DAYS,TX_FRAUD,TX_FRAUD_SCENARIO',
  ];
  const startMs = Date.UTC(2018, 3, 1);
  let seconds = 0;
  for (let row = 0; row < rows; row += 1) {
    seconds += Math.floor(random() * 40);
    const time = new Date(startMs + seconds * 1_000).toISOString().slice(0, 19).replace('T', ' ');
    const fraud = random() < 0.01 ? 1 + Math.floor(random() * 3) : 0;
    const amount = (1 + random() * 200).toFixed(2);
    const [customer, terminal] = [Math.floor(random() * 500), Math.floor(random() * 900)];
    const day = Math.floor(seconds / 86_400);
    lines.push(`${row},${time},${customer},${terminal},${amount},${seconds},${day},${fraud === 0 ? 0 : 1},${fraud}`);
  }
  return `${lines.join('\n')}\n`;
}
