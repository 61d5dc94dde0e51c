import { contractFileName, contractText } from '../src/rails/contracts.js';
import { ALL_CONTRACTS } from './contract-list.js';
import { runGenerator } from './generated.js';

/** contracts/*.schema.json from the schemas of the code; `--check` only compares. */
runGenerator(
  {
    command: 'npm run generate',
    files: ALL_CONTRACTS.map((contract) => ({
      path: `contracts/${contractFileName(contract)}`,
      text: contractText(contract),
    })),
    owns: { folder: 'contracts', suffix: '.schema.json' },
  },
  process.argv.slice(2),
);
