import { poisonSuite } from './decision-poison.cases.js';

poisonSuite('embedded', ['all']);
