package mask

import "strings"

// words is a transform that picks one word of a list.
type words struct {
	keyed
	list []string
}

func (w *words) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	d := w.tag(ws, value).dice()
	return append(dst, w.list[d.n(len(w.list))]...), nil
}

// leastWords is how many words a list must keep in a short column.
const leastWords = 20

func (t *target) words(name string, list []string) (transform, traits, error) {
	short := fit(list, t.length)
	if len(short) < leastWords {
		return nil, traits{}, t.tooLong(name, 6)
	}
	return &words{t.keyed(name), short}, traits{clean: true}, nil
}

// phrase is a transform that picks a word from each of several lists.
type phrase struct {
	keyed
	between string
	lists   [][]string
}

func (p *phrase) mask(ws *workspace, dst, value []byte) ([]byte, error) {
	if len(value) == 0 {
		return dst, nil
	}
	d := p.tag(ws, value).dice()
	for i, list := range p.lists {
		if i > 0 {
			dst = append(dst, p.between...)
		}
		dst = append(dst, list[d.n(len(list))]...)
	}
	return dst, nil
}

// phrase builds a phrase that fits the target: with shorter words in a short
// column, and as a last resort with the first list alone.
func (t *target) phrase(name, between string, lists ...[]string) (transform, traits, error) {
	if t.length == 0 {
		return &phrase{t.keyed(name), between, lists}, traits{clean: true}, nil
	}
	for n := 12; n >= 4; n-- {
		short := make([][]string, len(lists))
		need, least := len(between)*(len(lists)-1), len(lists[0])
		for i, l := range lists {
			short[i] = fit(l, n)
			need += longest(short[i])
			least = min(least, len(short[i])*leastWords/min(leastWords, len(l)))
		}
		if need <= t.length && least >= leastWords {
			return &phrase{t.keyed(name), between, short}, traits{clean: true}, nil
		}
	}
	return t.words(name, lists[0])
}

// The word lists behind the pretty maskers: common words of no one in
// particular, ASCII only, so that every collation and encoding takes them.
// Changing a list changes masks: raise Version.

var givenNames = strings.Fields(`
Ada Adam Adele Adrian Agnes Aidan Aisha Alan Albert Alec Alex Alice Alina Alma Amanda Amara Amelia Amir Amy Ana
Andre Andrea Angela Anita Anna Anton Anya Ariel Arlo Arthur Astrid Aubrey Audrey Aurora Ava Axel Barbara Basil
Beatrice Ben Bernard Bianca Blake Boris Brian Bridget Bruno Calvin Camila Carl Carmen Carol Caspar Cecilia Celia
Cesar Chad Chiara Chloe Clara Claude Clive Colin Conrad Cora Cyril Dahlia Daisy Dale Dalia Damian Dana Daniel
Daphne Daria Darius David Dawn Dean Delia Dennis Diana Diego Dina Dora Doris Duncan Dylan Edgar Edith Edmund
Edwin Elena Eli Elias Elisa Ella Ellen Elsa Emil Emily Emma Enzo Erica Ernest Esther Ethan Eva Evan Ezra Fabian
Faith Farah Fatima Felix Fern Finn Fiona Flora Floyd Frances Frank Freya Frida Gail Gavin Gemma George Gerald
Gina Gloria Gordon Grace Greta Guy Gwen Hana Hannah Harold Harriet Hassan Hazel Heather Hector Heidi Helen Henry
Hilda Holly Hugo Ian Ibrahim Ida Igor Ines Ingrid Iris Irma Isaac Ivan Ivy Jack Jacob Jada James Jane Janet Jared
Jasmine Jason Jean Joan Joel Johan John Jonas Jorge Joyce Juan Judith Jules Julia Juno Kai Karen Karim Kate Keith
Kenji Kevin Kira Klara Kurt Lara Laura Leah Leila Lena Leo Leon Lewis Liam Lidia Lina Linda Lisa Livia Logan Lois
Lola Lorna Louis Lucas Lucia Luis Luna Lydia Mabel Mae Magda Maia Malik Mara Marco Maria Marina Mario Marta Martin
Marvin Mary Mateo Maud Max Maya Megan Mia Miguel Milan Miles Mina Miriam Mona Morgan Myra Nadia Nadine Naomi Nash
Neil Nell Nico Nina Noah Nora Norman Olga Olive Oliver Omar Oscar Otis Otto Owen Pablo Paige Patricia Paul Paula
Pedro Penny Perry Peter Petra Philip Pia Quinn Rachel Ralph Ramon Ravi Ray Rebecca Reed Renata Rhea Rita Robert
Robin Roger Rohan Roman Rosa Rose Ross Roy Ruby Rufus Ruth Ryan Sabina Sam Sandra Sara Saul Scott Sean Selma
Serena Seth Silas Simon Sofia Sonia Stella Stefan Susan Sven Talia Tamara Tara Tessa Theo Thomas Tina Toby Tom
Tova Uma Ursula Vera Victor Viola Vivian Wade Walter Wanda Wendy Willa William Wilma Xenia Yara Yasmin Yuri Yusuf
Yvonne Zane Zara Zelda Zoe`)

var familyNames = strings.Fields(`
Abbott Abrams Acker Adair Adler Ahmed Alder Allen Almeida Alvarez Amsel Anders Arden Ashby Aston Atkins Austen
Avery Bach Bailey Baker Baldwin Banks Barker Barlow Barnes Barton Bauer Beck Becker Bell Bender Benson Berg
Berger Bishop Blair Blake Bloom Bond Booth Borg Bowen Boyd Brandt Braun Briggs Brook Brown Bruno Bryant Buchan
Burke Burns Bush Butler Byrne Calder Camp Cane Carey Carter Casey Castro Chan Chase Chen Clark Clay Cole Conway
Cook Cooper Costa Cox Craig Crane Cross Cruz Curtis Dahl Dale Daly Davis Dawson Day Dean Delgado Denton Diaz
Dixon Doyle Drake Drew Duarte Dunn Dyer Eaton Eder Egan Eliot Ellis Engel Erikson Espinoza Evans Faber Falk
Farrow Ferrer Field Finch Fischer Fisher Flint Flores Flynn Forbes Ford Foster Fowler Fox Frank Franks Frey
Frost Fuchs Fuller Gallo Garcia Gardner Garner Gates Gibson Gilbert Glass Glover Gomez Gordon Graf Graham Grant
Graves Gray Green Griffin Grove Gruber Haas Hahn Hale Hall Hansen Harper Hart Hartman Harvey Hayes Heath Heller
Henson Herman Herrera Hicks Hill Hobbs Hoffman Holland Holm Holmes Holt Hood Hopper Horn Howe Huber Hudson Hughes
Hunt Hurst Hussain Hyde Ibarra Irving Iversen Jacobs Jansen Jarvis Jensen Jordan Joyce Kaiser Kane Kaplan Karlson
Kaya Keane Keller Kelly Kemp Kent Kern Khan Kim King Kirby Klein Knight Koch Kohl Kraft Kramer Krause Kumar Lake
Lam Lamb Lambert Lane Lang Larsen Lawson Leal Lee Lehman Lennox Lewis Li Lind Linden Little Logan London Lopez
Lowe Lucas Ludwig Lund Lutz Lynch Mack Maier Malik Mann March Marino Marsh Martin Mason Mateo Maurer May Mayer
Meade Medina Mendes Meyer Miles Miller Mills Mohr Monroe Moore Mora Morales Moran Morris Moser Moss Muir Munoz
Murphy Nash Navarro Neal Nelson Neuman Newman Nguyen Nichols Noble Nolan North Novak Nunez Oakley Ochoa Olsen
Ortega Ortiz Osborn Otto Owens Pace Page Palmer Park Parker Patel Payne Pearce Penn Perez Perry Peters Pfeifer
Pierce Pike Pinto Pohl Poole Porter Potter Powell Price Pryor Quinn Ramos Randall Rao Reed Reid Reyes Rhodes
Rice Richter Riley Rios Rivera Roberts Rocha Rogers Rojas Rose Ross Roth Rowe Ruiz Russell Ryan Sage Salas
Sander Santos Sato Sauer Sawyer Schmidt Schultz Scott Seidel Serra Sharp Shaw Sherman Silva Simon Singh Skinner
Sloan Smith Snow Solis Sommer Soto Sparks Stark Steele Stein Stern Stone Storm Strand Strong Suarez Sutton
Swan Tanaka Tate Taylor Thorn Torres Tran Tucker Turner Underhill Valdez Vance Vargas Vaughn Vega Vogel Voss
Wade Wagner Walker Wallace Walsh Walter Ward Warner Watson Weaver Webb Weber Weiss Welch Wells West Wheeler
White Wilde Wilkins Winter Wolf Wong Wood Wright Yang Yates York Young Zeller Ziegler Zimmer`)

var cities = strings.Fields(`
Alderbrook Alderton Amberfield Ambleford Applegate Arborview Ashbourne Ashbury Ashmere Aspenridge Barrowdale
Baywater Beachmont Beechwood Bellhaven Birchfield Birkdale Blackmoor Bluewater Bouldergate Brackenridge Bramblewood
Briarcliff Bridgeford Brightwater Broadmeadow Brookfield Brookhaven Burnside Calderbrook Cedarhurst Cedarville
Chestergate Claremont Claybourne Clearwater Cliffside Cloverdale Coldspring Copperfield Cranbrook Crestview
Cypresswood Dalehurst Deepwell Deerfield Dovecote Driftwood Dunmore Eaglepoint Eastbrook Eastmere Edgewater Elmhurst
Elmwood Fairhaven Fairmont Falconridge Farrowby Fennimore Fernwood Fieldcrest Foxborough Freshwater Gatewood
Glenbrook Glenhaven Goldcrest Grandview Graniteville Greenfield Greyfriars Grovemont Halcombe Harborough Harborview
Hartfield Hawthorne Hazelmere Heatherton Highbridge Highmoor Hillcrest Hollowbrook Hollybank Ironbridge Ivybridge
Junipero Kestrelton Kingsbrook Kingsmere Lakeshore Lakeview Larkspur Laurelton Leafield Lindenhurst Littlebrook
Longmeadow Lowbridge Lynnfield Maplewood Marlbrook Marshgate Meadowbrook Merrifield Middlebury Millbrook Millhaven
Mistwood Moorfield Mossley Newbrook Newhaven Northbrook Northgate Northmere Oakdale Oakhurst Oldbridge Orchardton
Otterburn Palmview Pearmont Pebblebeach Pinecrest Pinehurst Plainfield Ponderosa Poplarville Prairieview Quarrybank
Queensmere Rainford Ravenswood Redcliff Ridgefield Ridgemont Riverbend Riverton Rockport Rosedale Roseville
Saltmarsh Sandford Sandhaven Seabrook Shadybrook Sherbrook Silverlake Southbrook Southmere Springdale Starling
Stillwater Stonebridge Stoneham Summerfield Sunnydale Swanmere Sycamore Thornbury Timberlake Tidewater Umberfield
Valleyview Vineyard Wakefield Walnutgrove Waterford Wellbrook Westbrook Westmere Wheatfield Whitcombe Whitewater
Wildwood Willowbrook Willowdale Windermore Winterbourne Woodbridge Woodhaven Wrenfield Yarrowby Yewbank`)

var streets = strings.Fields(`
Abbey Acorn Alder Almond Amber Anchor Apple Arbor Ash Aspen Autumn Badger Bakers Barley Barn Bay Beacon Beech
Bellflower Birch Blossom Bluebell Bramble Briar Bridge Brook Buttercup Canal Castle Cedar Chapel Cherry Chestnut
Church Clay Cliff Clover Copper Coral Cottage Cove Cowslip Crescent Crown Cypress Daisy Dale Depot Dock Dove Elder
Elm Falcon Fern Ferry Field Finch Forge Fountain Foxglove Garden Garnet Gate Glen Granary Grange Grove Harbor
Harvest Hawthorn Hazel Heather Heron Hickory Hill Holly Honeysuckle Iris Ivy Jasmine Juniper Kestrel Kingfisher
Lake Larch Lark Laurel Lavender Lilac Lily Lime Linden Lodge Locust Magnolia Mallard Maple Market Marsh Meadow Mill
Mint Mulberry Myrtle Oak Oat Olive Orchard Orchid Otter Palm Park Parsley Pear Pebble Pepper Pine Plum Pond Poplar
Poppy Primrose Quail Quarry Quince Rainbow Raven Reed Ridge River Robin Rose Rosemary Rowan Saffron Sage Sand
School Shore Silver Sorrel Sparrow Spring Spruce Station Stone Summer Sunset Swallow Sycamore Tannery Thistle
Thyme Tulip Valley Vine Violet Walnut Warren Water Weaver Well Wheat Willow Windmill Winter Wren Yarrow Yew`)

var streetKinds = strings.Fields(`Street Road Lane Avenue Way Drive Close Court Place Terrace`)

var companyFirst = strings.Fields(`
Amber Anchor Apex Arbor Argent Atlas Aurora Avalon Beacon Birch Bluebird Bright Bronze Cedar Cobalt Comet Compass
Copper Coral Crescent Crown Crystal Delta Dune Eagle Ember Emerald Falcon Fern Flint Fjord Garnet Gilded Glacier
Granite Harbor Harvest Hazel Heron Highland Horizon Indigo Iron Ivory Jade Juniper Keystone Lantern Larch Laurel
Lighthouse Linden Lumen Lunar Maple Marble Meridian Mistral Monarch Mosaic Nimbus North Oak Obsidian Ocean Olive
Onyx Opal Orchard Orion Osprey Pearl Pebble Pine Pioneer Plum Polar Prairie Quartz Quill Rain Raven Redwood Ridge
River Rowan Ruby Saffron Sapphire Scarlet Sierra Silver Solar Sparrow Spruce Stellar Sterling Summit Sycamore
Teal Thistle Timber Topaz Torch Umbra Valley Velvet Vertex Violet Walnut Willow Windmill Zenith Zephyr`)

var companySecond = strings.Fields(`
Analytics Apparel Bakery Books Brewing Builders Capital Ceramics Chemicals Consulting Crafts Dairy Design Dynamics
Electric Energy Engineering Events Farms Fashion Finance Fisheries Foods Forestry Foundry Freight Furniture Gardens
Glass Goods Hardware Health Holdings Hotels Imaging Industries Insurance Instruments Interiors Kitchens Labs
Leather Lighting Logistics Machines Marine Marketing Materials Media Metals Mills Mobility Motors Music Networks
Optics Outfitters Packaging Paints Paper Partners Pharma Plastics Press Printing Properties Pumps Rail Records
Research Robotics Security Services Shipping Software Solar Sports Steel Stone Stores Studio Supply Systems
Technology Telecom Textiles Tiles Tools Toys Trading Transport Travel Ventures Water Wines Works`)

var companyKinds = strings.Fields(`Ltd Inc LLC GmbH Group Co`)

// lower returns the words in lower case.
func lower(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strings.ToLower(w)
	}
	return out
}

// fit returns the words of at most n characters; n 0 means no limit.
func fit(words []string, n int) []string {
	if n <= 0 {
		return words
	}
	var out []string
	for _, w := range words {
		if len(w) <= n {
			out = append(out, w)
		}
	}
	return out
}

// longest returns the length of the longest word.
func longest(words []string) int {
	n := 0
	for _, w := range words {
		n = max(n, len(w))
	}
	return n
}
