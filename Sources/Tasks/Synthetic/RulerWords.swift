/// Common English words of which keys, lists and neutral sentences are made; no two of a list are the same.
enum RulerWords {
    static let nouns = split(
        """
        acorn actor address airport album alley anchor animal apple apron arch arena arrow artist atlas attic autumn \
        avenue baker balcony ballad balloon banana bank banner barn barrel basin basket beach beacon bean bear beaver \
        bell bench berry bicycle bird blanket blossom board boat bonnet book border bottle boulder bowl box branch \
        bread breeze brick bridge brook broom brush bucket buffet builder bush butter button cabin cable cactus cake \
        camel camera candle canoe canyon cape captain card cargo carpet carriage carrot castle cat cedar cellar chair \
        chapel chapter cheese cherry chest chimney circle city clay cliff clock cloth cloud clover coast coat coffee \
        coin collar comet compass copper coral corner cottage cotton cousin cow crane crayon creek cricket crown cup \
        curtain cushion dairy daisy dancer dawn deer desert desk diamond diary dinner doctor dolphin donkey door dove \
        dragon drawer dress drum duck eagle easel echo elbow elephant elm engine envelope evening fabric factory falcon \
        farmer feather fence fern ferry fiddle field finger fisher flag flame flask flower flute fog forest fork \
        fountain fox frame friend frog fruit furnace galaxy garage garden garlic gate ginger giraffe glacier glass \
        glove goat goose grain grape gravel guitar hall hammer hammock harbor harp harvest hat hawk hedge helmet hen \
        herb hill hive honey horn horse hotel house iceberg inn island ivory jacket jar jewel journal judge juice \
        jungle kettle key kitchen kite kitten knight ladder lake lamp lantern lawn leaf lemon letter library lighthouse \
        lily lion lizard lobby lumber magnet mansion maple marble market meadow melody melon mill miner mirror moon \
        morning mosaic motor mountain mouse museum mushroom napkin needle nest notebook novel oak oasis ocean office \
        olive onion orange orchard otter oven owl oyster paddle painter palace panda paper parade parcel parrot \
        pasture path peach pear pebble pencil pepper piano picture pigeon pillow pine pirate planet plate plum pocket \
        poem pond pony poppy porch potato prairie puzzle quarry quilt rabbit radio railway rain raven ribbon rice \
        ring river road robin rocket roof room rope rose saddle sailor salad sand scarf school sculptor seed shadow \
        sheep shelf shell shirt shop shore silver singer sister skirt slope snail snow sofa soldier soup sparrow spoon \
        spring square squirrel stable stamp star statue steam stone storm story stove stream street student sugar \
        summer sunset swan table tailor teacher temple tent theater thimble thunder ticket tiger timber toast tower \
        town track trail train tree trumpet tulip tunnel turtle uncle valley vase velvet village vine violin visitor \
        wagon walnut water waterfall wave weaver whale wheat wheel whistle willow window winter wolf wood wool \
        workshop yard
        """)
    static let adjectives = split(
        """
        able ample ancient angular autumnal average awake balanced basic beige bitter black blank blue bold brave \
        breezy brief bright brisk broad brown busy calm careful central charming cheerful chilly classic clean clear \
        clever cloudy coastal cold colorful common complete cool cosy crisp crooked curious curly daily damp dark deep \
        delicate dense distant double dry dusty eager early eastern easy elegant empty entire even exact faint fair \
        famous fancy fast fine firm flat fond formal fragile free fresh friendly full funny gentle giant glad golden \
        graceful grand gray great green handy happy hard hasty healthy heavy hidden high hollow honest huge humble \
        icy ideal idle inner jolly keen kind large late lazy lean level light likely little lively local lone long \
        loose loud lovely low loyal lucky main major mellow merry mild misty modern modest narrow neat new nimble \
        noble northern odd old open ordinary outer oval pale patient perfect plain pleasant polite proud public pure \
        purple quick quiet rapid rare ready red regular rich ripe robust rough round royal rural rustic salty secret \
        serene shallow sharp shiny short shy silent silky simple sleepy slender slim slow small smart smooth snowy \
        soft solid southern spare square stable steady steep still stout strange strict strong sturdy sunny sweet \
        swift tall tame tender thick thin tidy tiny tranquil true upper usual vast velvet vivid warm wary weekly \
        western white whole wide wild windy wise wooden yellow young zesty
        """)
    /// In the past, with an object to follow.
    static let verbs = split(
        """
        admired approached avoided borrowed bought brushed built carried chose cleaned collected copied counted covered \
        crossed described designed discovered drew entered examined explored faced filled followed found gathered \
        greeted guarded held hid ignored improved joined kept left liked lifted measured mended missed moved noticed \
        observed offered opened ordered packed painted passed photographed placed planted polished praised prepared \
        protected pulled pushed reached recalled remembered repaired replaced rescued returned sketched sold studied \
        supported surrounded tested touched traded visited warmed washed watched welcomed
        """)
    static let openings = split(
        """
        afterwards,again,apparently,at dawn,at first,at last,at noon,before long,by chance,by evening,certainly,\
        eventually,every spring,in silence,in the end,in the rain,later,meanwhile,most days,next year,of course,often,\
        on Sundays,once,perhaps,quietly,rarely,sometimes,soon,suddenly,that day,then,this time,usually,without a word
        """, separator: ",")
    static let places = split(
        """
        above across along around behind below beside beyond near opposite outside past under
        """)

    private static func split(_ text: String, separator: Character = " ") -> [String] {
        text.split(separator: separator).map(String.init)
    }
}
