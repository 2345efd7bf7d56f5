import { describe, test } from 'vitest'
import { testLogStore, testStateMachine, testTransport } from '../src/index.ts'
import { arrayStores, exchangeTransports, folderStores, tallies } from './setups.ts'

describe("a third party's store", () => testLogStore(test, arrayStores()))
describe("a third party's store on a disk", () => testLogStore(test, folderStores()))
describe("a third party's transport", () => testTransport(test, exchangeTransports()))
describe("a third party's machine", () => testStateMachine(test, tallies()))
