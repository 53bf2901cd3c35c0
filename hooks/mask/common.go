package mask

import "strings"

// Common reports whether words, in lower case, are what many databases hold and
// nobody's: towns and countries, states and kinds. A word that is a frequent name of
// people counts only inside the name of a place.
func Common(words []string) bool {
	for len(words) > 0 {
		n := 0
		for size := min(len(words), mostPlaceWords); size > 0 && n == 0; size-- {
			if places[strings.Join(words[:size], " ")] {
				n = size
			}
		}
		if n == 0 && !isPersonsName(words[0]) && (knownWords[plainLetters(words[0])] || linkingWords[words[0]]) {
			n = 1
		}
		if n == 0 {
			return false
		}
		words = words[n:]
	}
	return true
}

const mostPlaceWords = 5

var linkingWords = wordSet("a an and as at by for from if in into is it not of on or out over per than the to under up via with without")

func wordSet(list string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(list) {
		m[w] = true
	}
	return m
}

// places are countries, parts of them and large towns, in lower case and without
// signs. Those of one word that are also names of people are left out by init of the
// set: they say nothing by themselves.
var places = func() map[string]bool {
	m := map[string]bool{}
	for p := range strings.SplitSeq(placeNames, ",") {
		p = strings.TrimSpace(strings.ReplaceAll(p, "\n", " "))
		for _, form := range []string{p, plainLetters(p)} {
			if strings.Contains(form, " ") || !isPersonsName(form) {
				m[form] = true
			}
		}
	}
	return m
}()

const placeNames = `afghanistan, albania, algeria, andorra, angola, antigua and barbuda, argentina, armenia, aruba, australia, austria, azerbaijan, bahamas, the bahamas, bahrain,
bangladesh, barbados, belarus, belgium, belize, benin, bermuda, bhutan, bolivia, bosnia, bosnia and herzegovina, botswana, brazil, brasil, british virgin islands, brunei, brunei darussalam,
bulgaria, burkina faso, burundi, cabo verde, cape verde, cambodia, cameroon, canada, cayman islands, central african republic, chile, china, colombia, comoros, congo, cook islands, costa rica,
côte d ivoire, cote d ivoire, ivory coast, croatia, cuba, curaçao, cyprus, czechia, czech republic, denmark, djibouti, dominica, dominican republic, east timor, timor leste, ecuador, egypt, el salvador,
equatorial guinea, eritrea, estonia, eswatini, ethiopia, falkland islands, faroe islands, fiji, finland, france, french guiana, french polynesia, gabon, gambia, the gambia, germany, deutschland, ghana, gibraltar,
greece, greenland, grenada, guadeloupe, guam, guatemala, guinea, guinea bissau, guyana, haiti, holy see, honduras, hong kong, hungary, iceland, india, indonesia, iran, iraq, ireland, northern ireland, isle of man,
israel, italy, italia, jamaica, japan, kazakhstan, kenya, kiribati, north korea, south korea, kosovo, republic of korea, kuwait, kyrgyzstan, laos, latvia, lebanon, lesotho, liberia, libya, liechtenstein,
lithuania, luxembourg, macao, macau, madagascar, malawi, malaysia, maldives, mali, malta, marshall islands, martinique, mauritania, mauritius, mexico, micronesia, moldova, monaco, mongolia, montenegro, morocco,
mozambique, myanmar, namibia, nauru, nepal, netherlands, the netherlands, nederland, new caledonia, new zealand, nicaragua, niger, nigeria, north macedonia, northern mariana islands, norway, oman, pakistan, palau,
palestine, panama, papua new guinea, paraguay, peru, philippines, poland, polska, portugal, puerto rico, qatar, romania, russia, russian federation, rwanda, saint lucia, saint kitts and nevis,
saint vincent and the grenadines, samoa, american samoa, san marino, sao tome and principe, saudi arabia, senegal, serbia, seychelles, sierra leone, singapore, slovakia, slovenia, solomon islands, somalia,
south africa, south sudan, spain, españa, sri lanka, sudan, suriname, svalbard, sweden, switzerland, schweiz, suisse, syria, taiwan, tajikistan, tanzania, thailand, togo, tonga, trinidad and tobago, tunisia,
turkey, türkiye, turkmenistan, turks and caicos islands, tuvalu, uganda, ukraine, united arab emirates, united kingdom, great britain, england, scotland, wales, united states, united states of america, usa, uk, uae, eu,
uruguay, uzbekistan, vanuatu, vatican city, venezuela, vietnam, viet nam, virgin islands, western sahara, yemen, zambia, zimbabwe, european union, middle east, latin america, north america, south america,
alabama, alaska, arizona, arkansas, california, colorado, connecticut, delaware, district of columbia, florida, hawaii, idaho, illinois, indiana, iowa, kansas, kentucky, louisiana, maine, maryland, massachusetts,
michigan, minnesota, mississippi, missouri, montana, nebraska, nevada, new hampshire, new jersey, new mexico, new york, north carolina, north dakota, ohio, oklahoma, oregon, pennsylvania, rhode island,
south carolina, south dakota, tennessee, texas, utah, vermont, west virginia, wisconsin, wyoming, alberta, british columbia, manitoba, new brunswick, newfoundland, newfoundland and labrador, nova scotia,
northwest territories, nunavut, ontario, prince edward island, quebec, québec, saskatchewan, new south wales, northern territory, queensland, south australia, western australia, tasmania,
baden württemberg, bavaria, bayern, brandenburg, hesse, hessen, lower saxony, niedersachsen, mecklenburg vorpommern, north rhine westphalia, nordrhein westfalen, rhineland palatinate, rheinland pfalz, saarland,
saxony, sachsen, saxony anhalt, sachsen anhalt, schleswig holstein, thuringia, thüringen, upper austria, lower austria, île de france, ile de france, nouvelle aquitaine, hauts de france, pays de la loire, grand est,
castilla y león, castilla la mancha, comunidad valenciana, comunidad de madrid, país vasco, pais vasco, emilia romagna, friuli venezia giulia, valle d aosta, trentino alto adige, rio grande do sul, rio grande do norte,
minas gerais, mato grosso, mato grosso do sul, espírito santo, santa catarina, west yorkshire, south yorkshire, north yorkshire, west midlands, greater manchester, greater london, central macedonia, andhra pradesh,
uttar pradesh, madhya pradesh, himachal pradesh, arunachal pradesh, tamil nadu, west bengal, andaman and nicobar islands, jammu and kashmir, hong kong island, baja california, san luis potosí, quintana roo, nuevo león,
abu dhabi, abuja, accra, addis ababa, adelaide, ahmedabad, aix en provence, alexandria, algiers, alice springs, amman, amsterdam, ankara, antwerp, asunción, athens, athina, atlanta, auckland, bad homburg, baghdad, baku,
bangalore, bengaluru, bangkok, bangui, barcelona, basel, baton rouge, beijing, beirut, belém, belfast, belgrade, belo horizonte, bergen, berlin, bern, bilbao, birmingham, bogotá, bogota, bologna, bombay, bonn, bordeaux,
boston, brasília, bratislava, bremen, brisbane, bristol, brussels, bruxelles, bucharest, budapest, buenos aires, buffalo, cairo, calgary, cali, cape town, cape coral, caracas, cardiff, casablanca, cedar rapids, chennai, chiang mai, chicago,
chongqing, ciudad de méxico, mexico city, ciudad juárez, clermont ferrand, cluj napoca, colombo, colorado springs, cologne, köln, copenhagen, corpus christi, córdoba, curitiba, daejeon, daegu, dakar, dallas, damascus, dar es salaam,
delhi, new delhi, den haag, the hague, denver, des moines, detroit, dhaka, doha, dortmund, dresden, dubai, dublin, durban, düsseldorf, east london, edinburgh, edmonton, eindhoven, el paso, essen, fort collins,
fort lauderdale, fort wayne, fort worth, fortaleza, frankfurt, frankfurt am main, freetown, freiburg im breisgau, garden city, gelsenkirchen, geneva, genève, genoa, ghent, glasgow, gothenburg, göteborg, grand rapids, graz, green bay,
guadalajara, guangzhou, guatemala city, guayaquil, hamburg, hannover, hanoi, harare, havana, helsinki, ho chi minh city, honolulu, houston, hyderabad, ibadan, incheon, indianapolis, iowa city, islamabad, istanbul, izmir, jacksonville, jakarta,
jeddah, jersey city, jerusalem, johannesburg, juiz de fora, kabul, kampala, kansas city, karachi, kathmandu, kharkiv, khartoum, kiev, kyiv, kigali, kingston, kinshasa, kobe, kolkata, kraków, krakow, kuala lumpur, kuwait city, kyoto, la paz,
la plata, lagos, lahore, las palmas, las vegas, lausanne, le havre, le mans, leeds, leicester, leipzig, lille, lima, limoges, lisbon, lisboa, little rock, liverpool, ljubljana, london, long beach, los angeles, luanda, lusaka, luxembourg city,
lyon, macon, madrid, málaga, malmö, managua, manchester, manila, quezon city, mar del plata, marrakesh, marseille, mecca, medellín, melbourne, memphis, miami, miami beach, milan, milano, milwaukee, minneapolis, minsk, mobile, mogadishu, monterrey,
montevideo, montpellier, montréal, montreal, moscow, mumbai, munich, münchen, nagoya, nairobi, nanjing, nantes, naples, napoli, nashville, new haven, new orleans, newark, newcastle, newcastle upon tyne, new york city, niagara falls, nice, nizhny novgorod,
nottingham, novi sad, novosibirsk, nuremberg, nürnberg, oakland, oklahoma city, omaha, oporto, porto, orlando, osaka, oslo, ottawa, oxford, palermo, palm springs, palma de mallorca, panama city, perth, philadelphia, phnom penh,
phoenix, pittsburgh, port au prince, port elizabeth, port harcourt, port louis, port moresby, port of spain, portland, porto alegre, poznań, prague, praha, praia, pretoria, providence, pune, puebla, quito, rabat, recife, reykjavik, ribeirão preto, riga,
rio de janeiro, riyadh, rome, roma, rostov on don, rotterdam, sacramento, saint denis, saint étienne, saint louis, saint paul, st louis, st paul, saint petersburg, st petersburg, st gallen, st pölten, salt lake city, salvador, salzburg, san antonio, san bernardino,
san diego, san francisco, san jose, san josé, san juan, san luis obispo, san miguel de tucumán, san pedro sula, san salvador, san sebastián, santa ana, santa barbara, santa clara, santa cruz, santa cruz de la sierra, santa fe, santa monica, santa rosa,
santiago, santiago de chile, santiago de compostela, santo domingo, são luís, são paulo, sao paulo, sapporo, sarajevo, seattle, sendai, seoul, seville, sevilla, shanghai, sharm el sheikh, sheffield, shenzhen, silicon valley, sioux falls, skopje, sofia, south bend,
southampton, split, stockholm, strasbourg, stuttgart, sunderland, surabaya, tallahassee, tallinn, tampa, tashkent, tbilisi, tegucigalpa, tehran, tel aviv, tel aviv yafo, the bronx, thessaloniki, tianjin, tijuana, tirana, tokyo, toronto,
toulouse, tripoli, trois rivières, tucson, tulsa, tunis, turin, torino, ulaanbaatar, utrecht, valencia, valparaíso, vancouver, venice, venezia, vienna, wien, vilnius, vladivostok, walnut creek, warsaw, warszawa, washington dc, wellington, west palm beach, white plains,
windhoek, winnipeg, winston salem, wrocław, wuhan, yangon, yaoundé, yerevan, yokohama, zagreb, zaragoza, zürich, zurich`
